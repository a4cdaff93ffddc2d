// What is being looked for: words, something pinned to them (a picture at hand, or a stored
// document to find more like), and the mode. It becomes a search's body and the page's address.

export const PAGE = 30;
export const MODES = ["hybrid", "vector", "keyword"];

export class Question {
  words = "";
  mode = "hybrid";
  /** null, { kind: "file", name, base64, url } or { kind: "document", id, text, image } */
  pin = null;

  get empty() {
    return this.words.trim() === "" && this.pin === null;
  }

  /** The body of `POST /collections/{name}/search`. */
  body(offset) {
    const words = this.words.trim();
    const page = { limit: PAGE, offset, explain: true };
    if (this.pin === null) return { text: words, mode: this.mode, ...page };
    const pinned = pinnedPart(this.pin);
    // A pin is looked for by meaning: a picture has no words, and a text's own words, quotes and
    // signs included, are not a keyword query.
    if (words === "") return { ...pinned, mode: "vector", ...page };
    return { query: [pinned, { text: words }], mode: "vector", ...page };
  }

  /** The page's address for this question; a picture that is not stored cannot be in it. */
  address(collection) {
    const parameters = new URLSearchParams();
    if (collection !== null) parameters.set("collection", collection);
    if (this.words.trim() !== "") parameters.set("q", this.words.trim());
    if (this.mode !== "hybrid") parameters.set("mode", this.mode);
    if (this.pin?.kind === "document") parameters.set("like", this.pin.id);
    const query = parameters.toString();
    return query === "" ? "/" : `/?${query}`;
  }
}

function pinnedPart(pin) {
  if (pin.kind === "file") return { image: { base64: pin.base64 } };
  return pin.image ? { image: { id: pin.id } } : { text: pin.text };
}

/** The address's parts, for the page to start from; `like` names a document to be read first. */
export function fromAddress(search) {
  const parameters = new URLSearchParams(search);
  const mode = parameters.get("mode");
  return {
    collection: parameters.get("collection"),
    words: parameters.get("q") ?? "",
    mode: MODES.includes(mode) ? mode : "hybrid",
    like: parameters.get("like"),
  };
}

/** A file's bytes as the API takes them inside JSON. */
export function base64(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}
