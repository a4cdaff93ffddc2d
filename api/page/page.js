// The page: what is asked, what is shown, and the events that lead from one to the other.
// Every search carries the number of the question it answers; an answer to an older one is dropped.

import * as api from "./api.js";
import { Details } from "./details.js";
import { isPicture, takeFiles } from "./drop.js";
import { counted, element } from "./element.js";
import { facetRows, fieldsOf, SAMPLE } from "./facets.js";
import { keyDialog } from "./key.js";
import { picture } from "./picture.js";
import { base64, fromAddress, PAGE, Question } from "./question.js";
import { card, moveByArrows, nameOf } from "./results.js";
import { Upload } from "./upload.js";

const TYPING_PAUSE_MS = 120;
const RETRY_MS = 2500;
const DEFAULT = "default";

const at = (id) => document.getElementById(id);
const [words, grid, more, rest, notice, status, pinned, choice] =
  ["words", "grid", "more", "rest", "notice", "status", "pinned", "collection-choice"].map(at);

const question = new Question();
let collections = [];
let collection = DEFAULT;
let shown = [];
let cursor = null;
/** The fields whose values are counted; null until the collection's are known. */
let fields = null;
let best = 0;
/** How many of all hits were read, once the less related ones are shown too; null before. */
let read = null;
let asked = 0;
let inFlight = null;
let typing = null;
let retrying = null;

const details = new Details({
  like,
  remove,
  read: ({ id }) => api.readDocument(collection, id),
  neighbour: (found, step) => shown[shown.findIndex(({ id }) => id === found.id) + step],
});
const upload = new Upload(async () => {
  if (await loadCollections()) await ask();
});
const cardActions = { open: (found) => details.open(found), like };

// ---- asking ---------------------------------------------------------------------------------

/** Shows the first page of the question as it stands, or of the collection when nothing is asked. */
async function ask({ remember = false } = {}) {
  clearTimeout(typing);
  const here = question.address(collections.length > 1 ? collection : null);
  if (here !== location.search) history[remember ? "pushState" : "replaceState"](null, "", location.pathname + here);
  cursor = null;
  read = null;
  await fetchPage(0, replaceCards);
}

/** Adds cards; the first of the less related ones follow a line. */
function append(hits) {
  if (read !== null && hits.length > 0 && !grid.querySelector(".divider")) grid.append(element("li.divider", {}, "Less related"));
  grid.append(...cards(hits));
}

const askMore = () => fetchPage(question.empty ? 0 : read ?? shown.length, append);

/** Shows what the cutoff left out, below a line. */
function askRest() {
  read = 0;
  return fetchPage(0, append);
}

async function fetchPage(offset, show) {
  asked += 1;
  const number = asked;
  inFlight?.abort();
  inFlight = new AbortController();
  if (!known(collection)) return showEmpty();
  at("busy").hidden = false;
  try {
    const answer = await search(offset, inFlight.signal);
    if (number !== asked) return;
    quiet();
    const first = offset === 0 && read === null && answer.follows !== true;
    if (first) {
      shown = answer.hits;
      best = answer.scored ? Math.max(0, ...answer.hits.map((hit) => hit.score)) : null;
    } else {
      shown = [...shown, ...answer.hits];
    }
    show(answer.hits);
    describe(answer);
    if (!first) grid.querySelectorAll(".open")[shown.length - answer.hits.length]?.focus({ preventScroll: true });
    // A page of hits that are all shown already.
    if (read !== null && answer.full && answer.hits.length === 0) await askMore();
  } catch (error) {
    if (error.name !== "AbortError" && number === asked) complain(error);
  } finally {
    if (number === asked) at("busy").hidden = true;
  }
}

async function search(offset, signal) {
  fields ??= fieldsOf((await api.search(collection, { filter: {}, limit: SAMPLE }, signal)).hits);
  const follows = cursor !== null;
  const asking = { offset, cursor, facets: fields, all: read !== null };
  const answer = await api.search(collection, question.body(asking), signal);
  if (question.empty) {
    cursor = answer.next_cursor ?? null;
    return { ...answer, scored: false, follows, full: cursor !== null };
  }
  const full = answer.hits.length === PAGE;
  const hidden = new Set(question.pin?.kind === "document" ? [question.pin.id] : []);
  if (read !== null) {
    read = offset + answer.hits.length;
    shown.forEach(({ id }) => hidden.add(id));
  }
  return { ...answer, scored: true, full, hits: answer.hits.filter(({ id }) => !hidden.has(id)) };
}

// ---- showing --------------------------------------------------------------------------------

/** New cards for old; someone who is among them stays on the same document, or else on the first. */
function replaceCards(hits) {
  const within = document.activeElement.closest("#grid .card");
  grid.replaceChildren(...cards(hits));
  if (within === null) return;
  const same = [...grid.children].find((each) => each.dataset.id === within.dataset.id);
  (same ?? grid.firstElementChild)?.querySelector(".open").focus({ preventScroll: true });
}

const cards = (hits) => hits.map((hit) => card(hit, best, cardActions));
const known = (name) => collections.some((each) => each.name === name);

function describe(answer) {
  const none = shown.length === 0;
  const everything = question.empty && question.filters.size === 0;
  document.body.dataset.view = question.empty ? "browse" : "search";
  more.hidden = !answer.full;
  const byWords = question.mode === "keyword" && question.pin === null;
  rest.hidden = !known(collection) || !question.cutsOff || answer.full || read !== null;
  rest.textContent = none ? "Show what comes closest" : "Show less related";
  at("warnings").replaceChildren(...(answer.warnings ?? []).map(({ detail }) => element("li", {}, detail)));
  at("warnings").hidden = !answer.warnings;
  at("legend").hidden = none || !answer.scored;
  at("empty").hidden = !(none && everything);
  at("nothing").hidden = !none || everything;
  at("nothing").textContent = byWords && !question.empty
    ? "No document has these words. Hybrid looks for their meaning too."
    : answer.no_match ? "Nothing here matches." : "No results.";
  document.title = question.words.trim() === "" ? "clipdb" : `${question.words.trim()} – clipdb`;
  const rows = facetRows(answer.facets ?? {}, question.filters, keep);
  at("facets").replaceChildren(...rows);
  at("facets").hidden = rows.length === 0;
  // The number of results is that of the related ones.
  if (read !== null) return;
  if (question.empty) status.textContent = none || !answer.total ? "" : counted(answer.total.value, "document");
  else status.textContent = `${resultsOf(answer.total)}${answer.took_ms === undefined ? "" : ` · ${milliseconds(answer.took_ms)}`}`;
  status.title = Object.entries(answer.timings ?? {})
    .filter(([part]) => part.endsWith("_us")).map(([part, value]) => `${part.replace("_us", "")} ${milliseconds(value / 1000)}`).join("\n");
}

/** How many there are, as far as the answer knows. */
function resultsOf(total) {
  if (!total) return "";
  const results = counted(total.value, "result");
  return { exact: results, at_least: `${results} or more`, top: `the best ${results}` }[total.kind] ?? results;
}

const milliseconds = (value) => `${value < 10 ? Number(value.toFixed(value < 1 ? 2 : 1)) : Math.round(value)} ms`;

function showEmpty() {
  shown = [];
  cursor = null;
  grid.replaceChildren();
  read = null;
  describe({ full: false, scored: false, facets: {} });
  at("empty").hidden = false;
  at("nothing").hidden = true;
}

/** Shows a known error; any other error is a bug of the page. */
function complain(error) {
  const unreachable = error instanceof api.Unreachable;
  if (!unreachable && !(error instanceof api.Problem)) throw error;
  const passing = unreachable || error.status === 503;
  notify(element("p", {}, element("strong", {}, unreachable ? "No response. " : ""), error.message,
    unreachable ? " It may have been stopped; this page continues when it is back." : ""),
  element("button.plain", { type: "button", onclick: resume }, "Try again"));
  // The results belong to an older question.
  document.body.classList.add("stale");
  if (passing) retrying = setInterval(async () => (await api.ready()) && resume(), RETRY_MS);
}

function notify(...content) {
  clearInterval(retrying);
  notice.replaceChildren(...content);
  notice.hidden = false;
}

function quiet() {
  clearInterval(retrying);
  notice.hidden = true;
  document.body.classList.remove("stale");
}

async function resume() {
  clearInterval(retrying);
  if (await loadCollections()) await ask();
}

// ---- collections ----------------------------------------------------------------------------

async function loadCollections() {
  try {
    collections = await api.collections();
  } catch (error) {
    complain(error);
    return false;
  }
  quiet();
  fields = null;
  if (!known(collection)) collection = known(DEFAULT) || collections.length === 0 ? DEFAULT : collections[0].name;
  showCollection();
  return true;
}

function showCollection() {
  const several = collections.length > 1;
  choice.hidden = !several;
  at("collection-only").hidden = several;
  at("collection-only").textContent = collection;
  choice.replaceChildren(...collections.map(({ name }) => element("option", { value: name, selected: name === collection }, name)));
  choice.value = collection;
  const current = collections.find(({ name }) => name === collection);
  at("collection-size").textContent = current && Number.isFinite(current.documents) ? counted(current.documents, "document") : "";
  at("model").textContent = current ? [current.model, current.dim ? `${current.dim} dimensions` : null].filter(Boolean).join(" · ") : "";
  at("drop-collection").textContent = collection;
  at("empty-curl").textContent = [`curl ${api.under("/documents")}`, api.needsKey() ? "-H 'Authorization: Bearer KEY'" : null,
    "-H 'Content-Type: application/json'", `-d '{"text": "a cat on a mat"}'`].filter(Boolean).join(" \\\n  ");
}

// ---- what people do -------------------------------------------------------------------------

function setMode(mode) {
  question.mode = mode;
  at("ask").elements.mode.value = mode;
}

function setKinds(kinds) {
  question.kinds = kinds;
  at("ask").elements.kinds.value = kinds;
}

/** Keeps the documents with this value, or all of them again. */
async function keep(field, value) {
  if (question.filters.get(field) === value) question.filters.delete(field);
  else question.filters.set(field, value);
  await ask({ remember: true });
  const same = ({ dataset }) => dataset.field === field && dataset.value === String(value);
  ([...at("facets").querySelectorAll("button")].find(same) ?? words).focus({ preventScroll: true });
}

function pin(what) {
  question.pin = what;
  // A pinned picture or document is searched by meaning, whatever the mode.
  at("modes").disabled = what !== null;
  pinned.hidden = what === null;
  if (what === null) {
    pinned.replaceChildren();
    words.placeholder = "Find images and texts";
    return;
  }
  words.placeholder = "Add words";
  const label = what.kind === "file" ? `Searching by ${what.name}` : `More like ${what.name.slice(0, 120)}`;
  const face = what.image
    ? picture(what.image, { alt: label, width: 160 })
    : what.url ? element("img", { src: what.url, alt: label }) : element("span.slip", {}, what.text);
  pinned.replaceChildren(face, element("button.unpin", {
    type: "button",
    "aria-label": `${label}. Remove`,
    title: "Remove",
    onclick: () => { pin(null); words.focus(); ask({ remember: true }); },
  }, "×"));
}

async function like(found) {
  words.value = question.words = "";
  pin({ kind: "document", id: found.id, text: found.text, image: found.image, name: nameOf(found) });
  window.scrollTo({ top: 0 });
  words.focus({ preventScroll: true });
  await ask({ remember: true });
}

async function searchBy(file) {
  if (!file) return;
  if (!isPicture(file)) return notify(element("p", {}, `${file.name} is not an image, so you cannot search by it.`));
  words.value = question.words = "";
  pin({ kind: "file", name: file.name, base64: await base64(file), url: URL.createObjectURL(file) });
  await ask({ remember: true });
}

async function remove(found) {
  await api.deleteDocument(collection, found.id);
  const place = shown.findIndex(({ id }) => id === found.id);
  shown = shown.filter(({ id }) => id !== found.id);
  grid.querySelectorAll(".card")[place]?.remove();
  await loadCollections();
  if (shown.length === 0) await ask();
  else grid.querySelectorAll(".open")[Math.min(place, shown.length - 1)].focus();
}

function add(files) {
  upload.add(collection, files);
}

// ---- events ---------------------------------------------------------------------------------

words.addEventListener("input", () => {
  question.words = words.value;
  clearTimeout(typing);
  typing = setTimeout(ask, TYPING_PAUSE_MS);
});
at("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  ask({ remember: true });
});
at("modes").addEventListener("change", (event) => {
  setMode(event.target.value);
  if (!question.empty) ask();
});
at("kinds").addEventListener("change", (event) => {
  setKinds(event.target.value);
  ask();
});
words.addEventListener("keydown", (event) => {
  if (event.key === "ArrowDown" && grid.children.length) {
    event.preventDefault();
    grid.querySelector(".open").focus();
  } else if (event.key === "Escape") {
    event.preventDefault();
    words.value = question.words = "";
    pin(null);
    ask();
  } else if (event.key === "Backspace" && words.value === "" && question.pin !== null) {
    pin(null);
    ask({ remember: true });
  }
});
document.addEventListener("keydown", (event) => {
  const writing = event.target.matches("input:not([type=radio]), textarea, select");
  if (event.key !== "/" || writing || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  event.preventDefault();
  words.focus();
  words.select();
});
choice.addEventListener("change", () => {
  collection = choice.value;
  fields = null;
  question.filters.clear();
  // A document pinned from one collection is unknown to another.
  if (question.pin?.kind === "document") pin(null);
  showCollection();
  ask({ remember: true });
});
for (const [button, input, use] of [["by-picture", "picture-file", ([file]) => searchBy(file)], ["add", "add-files", add]]) {
  at(button).addEventListener("click", () => at(input).click());
  at(input).addEventListener("change", () => {
    use([...at(input).files]);
    at(input).value = "";
  });
}
at("empty-add").addEventListener("click", () => at("add-files").click());
more.addEventListener("click", askMore);
rest.addEventListener("click", askRest);
moveByArrows(grid, () => words.focus());
takeFiles({ dropped: (target, files) => (target === "add" ? add(files) : searchBy(files[0])), pasted: searchBy });
window.addEventListener("popstate", start);
api.onKeyWanted(keyDialog());

/** Begins, or begins again, from the page's address. */
async function start() {
  const from = fromAddress(location.search);
  words.value = question.words = from.words;
  setMode(from.mode);
  setKinds(from.kinds);
  question.filters = from.filters;
  pin(null);
  if (from.collection !== null) collection = from.collection;
  if (!(await loadCollections())) return;
  if (from.like !== null) {
    try {
      const found = await api.readDocument(collection, from.like);
      pin({ kind: "document", id: found.id, text: found.text, image: found.image, name: nameOf(found) });
    } catch (error) {
      return complain(error);
    }
  }
  await ask();
}

start();
