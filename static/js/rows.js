"use strict";
// Rows that open in place: <a data-opens="id"> fills the element of that id from its address and
// shows the row around it. Without this file the link leads to a page with the same content.

const opened = new Set();

function showRow(link, isOpen) {
  const row = document.getElementById(link.dataset.opens).closest("tr");
  row.hidden = !isOpen;
  link.setAttribute("aria-expanded", String(isOpen));
  opened[isOpen ? "add" : "delete"](link.dataset.opens);
}

function openRow(link) {
  const place = document.getElementById(link.dataset.opens);
  if (place.childElementCount) {
    showRow(link, true);
    return;
  }
  htmx.ajax("GET", link.href, { target: place, swap: "innerHTML" }).then(() => {
    if (place.isConnected && place.childElementCount) showRow(link, true);
  });
}

function prepare(scope) {
  for (const link of scope.querySelectorAll("a[data-opens]")) {
    link.setAttribute("aria-expanded", "false");
    link.setAttribute("aria-controls", link.dataset.opens);
    if (opened.has(link.dataset.opens)) openRow(link);
  }
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-opens]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  if (opened.has(link.dataset.opens)) showRow(link, false);
  else openRow(link);
});

prepare(document);
document.addEventListener("htmx:load", (event) => prepare(event.detail.elt));
