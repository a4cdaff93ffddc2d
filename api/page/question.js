// The current question: words, something pinned to them (a picture at hand, or a stored
// document to find more like), and the mode. It becomes a search's body and the page's address.

import { VALUES } from "./facets.js";

export const PAGE = 30;
export const MODES = ["hybrid", "vector", "keyword"];
/** What to find, and the vector and the filter that it means. */
export const KINDS = { both: null, images: "image", texts: "text" };

export class Question {
  words = "";
  mode = "hybrid";
  kinds = "both";
  /** null, { kind: "file", name, base64, url } or { kind: "document", id, text, image } */
  pin = null;
  /** The fields that are kept to one value. */
  filters = new Map();

  /** Nothing is looked for: documents come in the order of their ids. */
  get empty() {
    return this.words.trim() === "" && this.pin === null;
  }

  /** Whether what is hardly related is left out. Words that are matched as they are and images are
      compared with what is there, however little it is alike. */
  get cutsOff() {
    return !this.empty && this.words.trim() !== "" && (this.mode !== "keyword" || this.pin !== null);
  }

  /** The body of `POST /collections/{name}/search`; a page begins at `cursor` where nothing is
      looked for. */
  body({ offset, cursor, facets, all = false }) {
    const words = this.words.trim();
    const result = { limit: PAGE };
    const kind = KINDS[this.kinds];
    const filter = Object.fromEntries(this.filters);
    if (kind !== null) filter[`$${kind}`] = true;
    if (facets.length > 0) result.facets = facets.map((field) => ({ field, limit: VALUES }));
    if (Object.keys(filter).length > 0 || this.empty) result.filter = filter;
    if (this.empty) return cursor === null ? result : { ...result, cursor };
    const page = { ...result, offset, explain: true };
    if (!all && this.cutsOff) page.cutoff = "auto";
    if (kind !== null) page.targets = [kind];
    if (this.pin === null) return { text: words, mode: this.mode, ...page };
    const pinned = pinnedPart(this.pin);
    // A pin is looked for by meaning: a picture has no words, and a text's own words, quotes and
    // signs included, are not a keyword query.
    if (words === "") return { ...pinned, mode: "vector", ...page };
    return { query: [pinned, { text: words }], mode: "vector", ...page };
  }

  /** The query of the page's address for this question; a picture that is not stored cannot be in it. */
  address(collection) {
    const parameters = new URLSearchParams();
    if (collection !== null) parameters.set("collection", collection);
    if (this.words.trim() !== "") parameters.set("q", this.words.trim());
    if (this.mode !== "hybrid") parameters.set("mode", this.mode);
    if (this.kinds !== "both") parameters.set("kinds", this.kinds);
    if (this.pin?.kind === "document") parameters.set("like", this.pin.id);
    if (this.filters.size > 0) parameters.set("where", JSON.stringify(Object.fromEntries(this.filters)));
    const query = parameters.toString();
    return query === "" ? "" : `?${query}`;
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
  const kinds = parameters.get("kinds");
  return {
    collection: parameters.get("collection"),
    words: parameters.get("q") ?? "",
    mode: MODES.includes(mode) ? mode : "hybrid",
    kinds: Object.hasOwn(KINDS, kinds ?? "") ? kinds : "both",
    like: parameters.get("like"),
    filters: filtersOf(parameters.get("where")),
  };
}

/** What somebody wrote into the address may be anything. */
function filtersOf(where) {
  try {
    const values = Object.entries(JSON.parse(where) ?? {});
    return new Map(values.filter(([, value]) => ["string", "number", "boolean"].includes(typeof value)));
  } catch {
    return new Map();
  }
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
