// Asks for the API key when the server answers 401.

/** A function for `onKeyWanted`: opens the dialog, resolves to what was typed, or null if left. */
export function keyDialog() {
  const dialog = document.getElementById("key");
  const value = document.getElementById("key-value");
  const refused = document.getElementById("key-refused");
  return (wasRefused) => new Promise((resolve) => {
    value.value = "";
    refused.hidden = !wasRefused;
    refused.textContent = wasRefused ? "That key was refused. Is it the right one?" : "";
    dialog.returnValue = "";
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "ok" ? value.value.trim() : null), { once: true });
    dialog.showModal();
  });
}
