"use strict";
// Small conveniences. Every page works without this file.

const THEMES = ["auto", "light", "dark"];
const root = document.documentElement;
root.classList.add("has-script");

function showWhatNeedsScript(scope) {
  for (const element of scope.querySelectorAll(".needs-script, [data-copy], [data-dismiss]")) {
    element.hidden = false;
  }
}

// Theme: switch at once and remember in the cookie the server reads.
function switchTheme(button) {
  const next = THEMES[(THEMES.indexOf(root.dataset.bsTheme) + 1) % THEMES.length];
  const secure = location.protocol === "https:" ? "; secure" : "";
  document.cookie = `theme=${next}; path=/; max-age=31536000; samesite=lax${secure}`;
  root.dataset.bsTheme = next;
  button.value = THEMES[(THEMES.indexOf(next) + 1) % THEMES.length];
  for (const part of button.querySelectorAll("[data-theme-is]")) {
    part.hidden = part.dataset.themeIs !== next;
  }
}

async function copyText(button) {
  const target = button.dataset.copyFrom && document.getElementById(button.dataset.copyFrom);
  const text = target ? target.textContent : button.dataset.copy;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    copyBySelection(text);
  }
  button.classList.add("is-copied");
  announce(button.dataset.copied || "Copied");
  setTimeout(() => button.classList.remove("is-copied"), 1500);
}

// navigator.clipboard needs https or localhost; a panel on a private network may have neither.
function copyBySelection(text) {
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

function announce(text) {
  let region = document.getElementById("announcements");
  if (!region) {
    region = document.createElement("div");
    region.id = "announcements";
    region.className = "visually-hidden";
    region.setAttribute("role", "status");
    document.body.append(region);
  }
  region.textContent = "";
  requestAnimationFrame(() => { region.textContent = text; });
}

function openHelp() {
  const help = document.getElementById("help");
  if (help && !help.open) help.showModal();
}

function closeMenus(except) {
  for (const menu of document.querySelectorAll("details[data-menu][open]")) {
    if (menu !== except) menu.open = false;
  }
}

document.addEventListener("click", (event) => {
  closeMenus(event.target.closest("details[data-menu]"));
  const button = event.target.closest("button");
  if (!button) return;
  if (button.matches("[data-theme-switch]")) {
    event.preventDefault();
    switchTheme(button);
  } else if (button.matches("[data-copy], [data-copy-from]")) {
    copyText(button);
  } else if (button.matches("[data-dismiss]")) {
    button.closest("[data-dismissible]").remove();
  } else if (button.matches("[data-help-open]")) {
    closeMenus();
    openHelp();
  }
});

// Keyboard: "/" searches, "g" + letter goes to a page, "?" helps.
let waitsForPage = false;
let waitTimer;

function isTyping(target) {
  return target.closest("input, textarea, select, [contenteditable]") !== null;
}

function goTo(letter) {
  const link = document.querySelector(`a[data-go="${CSS.escape(letter)}"]`);
  if (link) link.click();
  return link !== null;
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    for (const menu of document.querySelectorAll("details[data-menu][open]")) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  if (document.querySelector("dialog[open]")) return;
  if (waitsForPage) {
    waitsForPage = false;
    clearTimeout(waitTimer);
    if (goTo(event.key)) event.preventDefault();
  } else if (event.key === "g") {
    waitsForPage = true;
    waitTimer = setTimeout(() => { waitsForPage = false; }, 1500);
  } else if (event.key === "/") {
    const box = document.querySelector("[data-search]");
    if (box) {
      event.preventDefault();
      box.focus();
      box.select();
    }
  } else if (event.key === "?") {
    event.preventDefault();
    openHelp();
  }
});

// Drop zones: the file input takes what is dropped.
for (const type of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(type, (event) => {
    const zone = event.target.closest?.(".drop-zone");
    if (!zone) return;
    event.preventDefault();
    zone.classList.toggle("is-over", type === "dragenter" || type === "dragover");
    const input = zone.querySelector("input[type=file]");
    if (type === "drop" && input) {
      input.files = event.dataTransfer.files;
      input.dispatchEvent(new Event("change", { bubbles: true }));
    }
  });
}

// Relative times go stale on a page left open; the server's words are kept until they change.
const STEPS = [[45, null], [5400, 60, "min"], [172800, 3600, "h"], [63072000, 86400, "day"]];

function relativeWords(milliseconds) {
  const seconds = Math.abs(milliseconds) / 1000;
  const isPast = milliseconds <= 0;
  if (seconds < STEPS[0][0]) return isPast ? "just now" : "in a moment";
  for (const [limit, unit, word] of STEPS.slice(1)) {
    if (seconds >= limit) continue;
    const count = unit === 60 ? Math.max(1, Math.round(seconds / 60)) : Math.floor(seconds / unit);
    const words = `${count} ${word === "day" && count !== 1 ? "days" : word}`;
    return isPast ? `${words} ago` : `in ${words}`;
  }
  return null;
}

function refreshTimes() {
  if (root.lang !== "en") return;
  for (const element of document.querySelectorAll("time[data-relative]")) {
    const words = relativeWords(new Date(element.dateTime) - Date.now());
    if (words && element.textContent !== words) element.textContent = words;
  }
}
setInterval(refreshTimes, 20000);

// Counting down to when a deployment is taken back, from what the server said was left.
function startCountdown(element) {
  const end = performance.now() + Number(element.dataset.countdown) * 1000;
  const timer = setInterval(() => {
    const left = Math.max(0, Math.round((end - performance.now()) / 1000));
    element.textContent = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
    if (!left || !element.isConnected) clearInterval(timer);
  }, 1000);
}

// Sorting: the headers of <table data-sortable> that have data-sort become buttons. A row that
// belongs to the one above (row-said, row-detail) stays below it. A table with an id keeps its order
// when it is fetched anew.
const sortedTables = new Map();

function makeSortable(table) {
  for (const header of table.querySelectorAll("thead th[data-sort]")) {
    if (header.querySelector("button")) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort-button";
    button.append(...header.childNodes);
    header.append(button);
    button.addEventListener("click", () => {
      const isAscending = header.getAttribute("aria-sort") === "ascending";
      sortBy(table, header, isAscending ? "descending" : "ascending");
    });
  }
  const kept = sortedTables.get(table.id);
  if (kept) sortBy(table, table.tHead.rows[0].cells[kept.column], kept.direction);
}

function sortBy(table, header, direction) {
  if (table.id) sortedTables.set(table.id, { column: header.cellIndex, direction });
  for (const other of table.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", direction);
  const body = table.tBodies[0];
  const groups = [];
  for (const row of body.rows) {
    if (groups.length && row.matches(".row-said, .row-detail")) groups.at(-1).rows.push(row);
    else groups.push({ value: sortValue(row.cells[header.cellIndex], header), rows: [row] });
  }
  groups.sort(({ value: a }, { value: b }) =>
    typeof a === "number" ? a - b : a.localeCompare(b, root.lang),
  );
  if (direction === "descending") groups.reverse();
  body.append(...groups.flatMap(({ rows }) => rows));
}

function sortValue(cell, header) {
  const text = cell?.dataset.value ?? cell?.textContent.trim() ?? "";
  if (header.dataset.sort !== "number") return text;
  const number = parseFloat(text);
  return Number.isNaN(number) ? Infinity : number;
}

// htmx: a session that ended, and a panel that does not answer, must not look like news.
document.addEventListener("htmx:beforeSwap", (event) => {
  const { pathname } = new URL(event.detail.xhr.responseURL || location.href);
  if (pathname !== location.pathname && pathname.startsWith("/account/")) {
    event.detail.shouldSwap = false;
    location.reload();
  }
});

function showLostContact(isLost) {
  const note = document.getElementById("lost-contact");
  if (note) note.hidden = !isLost;
}
for (const type of ["htmx:sendError", "htmx:timeout"]) {
  document.addEventListener(type, () => showLostContact(true));
}

// A refusal comes as a page of its own; its words are shown on this one.
document.addEventListener("htmx:responseError", (event) => {
  const { status, responseText } = event.detail.xhr;
  const refusal = new DOMParser().parseFromString(responseText, "text/html");
  const words = [...refusal.querySelectorAll("main h1, main p")].map((part) => part.textContent.trim());
  const note = document.getElementById("refusal");
  if ((status >= 500 && status !== 503) || !note || words.length === 0) {
    showLostContact(true);
    return;
  }
  note.querySelector("div").textContent = `${words[0]}. ${words.slice(1).join(" ")}`;
  note.hidden = false;
});
document.addEventListener("htmx:afterOnLoad", (event) => {
  if (!event.detail.successful) return;
  showLostContact(false);
  const note = document.getElementById("refusal");
  if (note) note.hidden = true;
});

function enliven(scope) {
  showWhatNeedsScript(scope);
  for (const table of scope.querySelectorAll("table[data-sortable]")) makeSortable(table);
  const counting = [...scope.querySelectorAll("[data-countdown]")];
  for (const element of counting) startCountdown(element);
}
enliven(document);
document.addEventListener("htmx:load", (event) => enliven(event.detail.elt));
