"use strict";
// Shows which files were chosen, and lets a second drop add to the first. Without this file the
// browser's own file box does the work.

for (const input of document.querySelectorAll("input[type=file][data-collect]")) {
  const list = document.getElementById(input.dataset.collect);
  let chosen = [];

  const isSame = (one, other) => one.name === other.name && one.size === other.size && one.lastModified === other.lastModified;

  const show = () => {
    const transfer = new DataTransfer();
    list.replaceChildren();
    for (const file of chosen) {
      transfer.items.add(file);
      list.append(row(file));
    }
    input.files = transfer.files;
    list.hidden = chosen.length === 0;
  };

  const row = (file) => {
    const item = document.createElement("li");
    const name = document.createElement("span");
    name.className = "exact";
    name.textContent = file.name;
    const remove = document.createElement("button");
    remove.type = "button";
    remove.className = "btn-quiet";
    remove.textContent = "×";
    remove.setAttribute("aria-label", `${list.dataset.removeWords} ${file.name}`);
    remove.addEventListener("click", () => {
      chosen = chosen.filter((other) => other !== file);
      show();
      input.focus();
    });
    item.append(name, ` ${Math.max(1, Math.round(file.size / 1024))} KiB`, remove);
    return item;
  };

  input.addEventListener("change", () => {
    for (const file of input.files) {
      if (!chosen.some((other) => isSame(other, file))) chosen.push(file);
    }
    show();
  });
}
