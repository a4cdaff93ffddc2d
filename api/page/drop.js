// Files that are dragged over the window or pasted. Two targets cover the window, to distinguish
// searching by an image from adding it.

const FILES = "Files";

export const isPicture = (file) =>
  file.type.startsWith("image/") || /\.(jpe?g|png|webp|gif|bmp|tiff?)$/i.test(file.name);

/** `dropped(target, files)`: target is "search" or "add". `pasted(file)`: a picture. */
export function takeFiles({ dropped, pasted }) {
  const overlay = document.getElementById("drop");
  const targets = [...overlay.querySelectorAll("[data-drop]")];
  const point = (target) => targets.forEach((each) => each.classList.toggle("aimed", each === target));
  const hide = () => {
    overlay.hidden = true;
    point(null);
  };
  const carriesFiles = (event) => event.dataTransfer?.types.includes(FILES);

  window.addEventListener("dragenter", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    overlay.hidden = false;
  });
  window.addEventListener("dragover", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    const target = event.target.closest?.("[data-drop]") ?? null;
    point(target);
    event.dataTransfer.dropEffect = target === null ? "none" : "copy";
  });
  window.addEventListener("dragleave", (event) => {
    // Only leaving the window has nowhere to go to.
    if (event.relatedTarget === null) hide();
  });
  window.addEventListener("drop", async (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    const target = event.target.closest?.("[data-drop]");
    hide();
    if (target) dropped(target.dataset.drop, await filesIn(event.dataTransfer));
  });
  window.addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files ?? [])].find(isPicture);
    if (!file) return;
    event.preventDefault();
    pasted(file);
  });
}

/** The files of a drop, those inside folders too. */
async function filesIn(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return [...transfer.files];
  const found = [];
  for (const entry of entries) await walk(entry, found);
  return found;
}

async function walk(entry, found) {
  if (entry.isFile) {
    found.push(await new Promise((resolve, reject) => entry.file(resolve, reject)));
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    // A reader hands out a folder's entries a hundred at a time, then none.
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return;
    for (const each of some) await walk(each, found);
  }
}
