// The grid: a card a document, and moving among cards with the arrow keys.

import { element } from "./element.js";
import { picture } from "./picture.js";
import { bar, figure, LISTS, percent } from "./score.js";

const THUMBNAIL = 320;

/** What to call a document that is a picture: its text, a name in its metadata, or its id. */
export function nameOf(found) {
  const { title, name, filename, label } = found.metadata ?? {};
  const named = [found.text, title, name, label, filename].find((word) => typeof word === "string" && word.trim() !== "");
  return named ?? found.id;
}

/** A card; `actions` are { open(found), like(found) }; `best` is null where nothing was scored. */
export function card(found, best, actions) {
  const scored = best !== null;
  const name = nameOf(found);
  const face = found.image
    ? element("span.tile", {}, picture(found.image, { alt: name, width: THUMBNAIL }))
    : element("span.passage", {}, element("span", {}, found.text ?? ""));
  const open = element("button.open", {
    type: "button",
    "aria-label": `${found.image ? "Image" : "Text"}: ${name.slice(0, 160)}${scored ? `, score ${figure(found.score)}${Number.isFinite(found.confidence) ? `, ${percent(found.confidence)} sure` : ""}` : ""}`,
    onclick: () => actions.open(found),
  }, face, found.image ? element("span.caption", {}, name) : null);
  return element(`li.card.${found.image ? "of-picture" : "of-text"}`, { data: { id: found.id } },
    open,
    scored ? bar(found, best) : null,
    element("div.card-foot", {},
      scored && Number.isFinite(found.confidence)
        ? element("span.sure", { title: "How sure it is that this is what you asked for" }, percent(found.confidence)) : null,
      scored ? element("span.score", { title: breakdown(found) }, figure(found.score)) : null,
      element("button.like", {
        type: "button",
        "aria-label": `More like ${name.slice(0, 80)}`,
        onclick: () => actions.like(found),
      }, "More like this")));
}

function breakdown(found) {
  const parts = (found.explain?.parts ?? []).filter((part) => part.contribution > 0);
  return parts.map((part) => `${LISTS[part.list] ?? part.list} ${figure(part.contribution)}`).join(" + ");
}

/** Arrow keys move among the cards of `grid`; up from its first row calls `leave`. */
export function moveByArrows(grid, leave) {
  grid.addEventListener("keydown", (event) => {
    const cards = [...grid.querySelectorAll(".open")];
    const at = cards.indexOf(document.activeElement);
    if (at < 0 || event.altKey || event.ctrlKey || event.metaKey) return;
    const top = (each) => Math.round(each.getBoundingClientRect().top);
    const columns = cards.filter((each) => top(each) === top(cards[0])).length;
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    if (event.key === "ArrowUp" && at < columns) leave();
    else cards[Math.min(cards.length - 1, Math.max(0, at + step))].focus();
  });
}
