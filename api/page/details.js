// One document in full: its picture, text, metadata, why it was found, and what can be done to it.

import { needsKey } from "./api.js";
import { drawing, element } from "./element.js";
import { picture } from "./picture.js";
import { nameOf } from "./results.js";
import { explanation } from "./score.js";

/**
 * `actions`: { read(found) → Promise of the stored document, like(found), remove(found) → Promise,
 * neighbour(found, step) → found or undefined }
 */
export class Details {
  #dialog = document.getElementById("details");
  #actions;
  #found = null;

  constructor(actions) {
    this.#actions = actions;
    this.#dialog.addEventListener("click", (event) => {
      if (event.target === this.#dialog) this.close();
    });
    this.#dialog.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (step !== undefined) this.#turn(step);
    });
  }

  open(found) {
    this.#found = found;
    this.#dialog.replaceChildren(...this.#content(found));
    this.#dialog.classList.toggle("of-text", !found.image);
    if (!this.#dialog.open) this.#dialog.showModal();
    this.#dialog.querySelector(".about").scrollTop = 0;
    this.#complete(found);
  }

  /** Adds what a hit does not carry: the picture's size, and when the document was stored. */
  async #complete(found) {
    let stored;
    try {
      stored = await this.#actions.read(found);
    } catch {
      // Deleted meanwhile, or no answer: what the hit says stays.
      return;
    }
    if (this.#found === found) this.#dialog.querySelector(".metadata")?.append(...rows(kept(stored)));
  }

  close() {
    this.#dialog.close();
  }

  #turn(step) {
    const neighbour = this.#actions.neighbour(this.#found, step);
    if (neighbour) this.open(neighbour);
  }

  #content(found) {
    const name = nameOf(found);
    const named = name !== found.text;
    return [
      found.image ? element("div.plate", {}, picture(found.image, { alt: name })) : null,
      element("div.about", {},
        element("div.about-head", {},
          element("h2", { id: "details-title" }, named ? name : found.image ? "Image and text" : "Text"),
          this.#turner(-1, "Previous", "m14 6-6 6 6 6"),
          this.#turner(1, "Next", "m10 6 6 6-6 6"),
          element("button.icon", { type: "button", "aria-label": "Close", onclick: () => this.close() },
            glyph("m6 6 12 12M18 6 6 18"))),
        found.text ? element("p.full-text", {}, found.text) : null,
        found.passage && found.passage !== found.text ? element("p.full-text.soft", {}, String(found.passage)) : null,
        metadata(found),
        found.explain ? element("section", {}, element("h3", {}, "Score"), explanation(found)) : null,
        this.#deeds(found)),
    ].filter(Boolean);
  }

  #turner(step, label, path) {
    const there = this.#actions.neighbour(this.#found, step) !== undefined;
    return element("button.icon", { type: "button", "aria-label": label, disabled: !there, onclick: () => this.#turn(step) }, glyph(path));
  }

  #deeds(found) {
    const deeds = element("div.deeds");
    const usual = () => deeds.replaceChildren(...[
      element("button.solid", { type: "button", onclick: () => { this.close(); this.#actions.like(found); } }, "More like this"),
      // A link cannot carry a key.
      found.image && !needsKey() ? element("a.button", { href: found.image, target: "_blank", rel: "noopener" }, "Original") : null,
      element("button.danger", { type: "button", onclick: sure }, "Delete"),
    ].filter(Boolean));
    const sure = () => {
      const keep = element("button", { type: "button", onclick: usual }, "Keep");
      deeds.replaceChildren(
        element("p", { role: "alert" }, "Delete this document permanently?"),
        element("button.danger.sure", { type: "button", onclick: remove }, "Delete it"),
        keep);
      keep.focus();
    };
    const remove = async (event) => {
      event.currentTarget.disabled = true;
      try {
        await this.#actions.remove(found);
        this.close();
      } catch (error) {
        usual();
        deeds.prepend(element("p.refused", { role: "alert" }, error.message));
      }
    };
    usual();
    return deeds;
  }
}

const glyph = (path) => drawing("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, drawing("path", { d: path }));

function metadata(found) {
  return element("dl.metadata", {}, rows([["id", found.id], ...flattened(found.metadata ?? {})]));
}

const rows = (pairs) => pairs.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value)));

function kept({ image_info: image, created_at: created, updated_at: updated, truncated }) {
  const when = (milliseconds) => new Date(milliseconds).toLocaleString();
  return [
    image ? ["image", `${image.width} × ${image.height}, ${image.media_type.replace("image/", "").toUpperCase()}, ${size(image.bytes)}`] : null,
    truncated ? ["text", "over 1,000 passages: its end is found by keywords only"] : null,
    created ? ["added", when(created)] : null,
    updated && updated !== created ? ["replaced", when(updated)] : null,
  ].filter(Boolean);
}

const size = (bytes) => (bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`);

/** Nested objects by the dotted names that filters use. */
function flattened(object, prefix = "") {
  return Object.entries(object).flatMap(([name, value]) => {
    const dotted = prefix + name;
    if (value !== null && typeof value === "object" && !Array.isArray(value)) return flattened(value, `${dotted}.`);
    if (Array.isArray(value) && value.every((each) => typeof each !== "object")) return [[dotted, value.join(", ")]];
    return [[dotted, typeof value === "string" ? value : JSON.stringify(value)]];
  });
}
