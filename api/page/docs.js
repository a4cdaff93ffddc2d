// The API's pages: /openapi.json as a list of routes, each with its parameters, bodies, answers,
// and a form that sends a request to this server.

import * as api from "./api.js";
import { element } from "./element.js";
import { keyDialog } from "./key.js";
import { exampleOf, fields, resolve, typeOf } from "./schema.js";

const METHODS = ["get", "post", "put", "patch", "delete", "head", "options"];
const REST = "Other";
const at = (id) => document.getElementById(id);

function operationsOf(book) {
  return Object.entries(book.paths ?? {}).flatMap(([path, item]) => METHODS.filter((method) => item[method]).map((method) => {
    const operation = item[method];
    return {
      path, method, operation,
      tag: operation.tags?.[0] ?? REST,
      id: `${method}${path}`.replaceAll(/[^a-z0-9]+/gi, "-").replace(/-$/, ""),
      parameters: [...(item.parameters ?? []), ...(operation.parameters ?? [])].map((each) => resolve(book, each).schema),
    };
  }));
}

function show(book) {
  const operations = operationsOf(book);
  const declared = (book.tags ?? []).map(({ name }) => name);
  const tags = [...new Set([...declared, ...operations.map(({ tag }) => tag)])].filter((tag) => operations.some((each) => each.tag === tag));
  document.title = `${book.info?.title ?? "clipdb"} API`;
  at("version").textContent = book.info?.version ?? "";
  at("routes").replaceChildren(...tags.map((tag) => element("section", {},
    element("h2", {}, tag),
    element("ul", {}, operations.filter((each) => each.tag === tag).map((each) => element("li", { data: { text: searchable(each) } },
      element("a", { href: `#${each.id}`, title: each.operation.summary }, badge(each.method), " ", element("span", {}, breakable(each.path)))))))));
  at("main").replaceChildren(
    element("h1", {}, "The API"),
    prose(book.info?.description),
    ...tags.map((tag) => element("section", {},
      element("h2.tag", {}, tag),
      prose(book.tags?.find(({ name }) => name === tag)?.description),
      operations.filter((each) => each.tag === tag).map((each) => entry(book, each)))),
    schemas(book));
  reveal();
}

const searchable = ({ method, path, operation }) => `${method} ${path} ${operation.summary ?? ""}`.toLowerCase();
const badge = (method) => element("span.method", { data: { method } }, method.toUpperCase());
const breakable = (path) => path.split(/(?=\/)/).flatMap((part) => [element("wbr"), part]);

/** Paragraphs at empty lines and `code` between backticks: all of Markdown that the document uses. */
function prose(text) {
  if (!text) return null;
  return element("div.prose", {}, text.trim().split(/\n\s*\n/).map((paragraph) => element("p", {},
    paragraph.split("`").map((piece, index) => (index % 2 ? element("code", {}, piece) : piece)))));
}

function entry(book, each) {
  const { operation, parameters } = each;
  const request = operation.requestBody ? resolve(book, operation.requestBody).schema : null;
  return element("details.entry", { id: each.id },
    element("summary", {}, badge(each.method), element("code.path", {}, breakable(each.path)), element("span.summary", {}, operation.summary ?? "")),
    element("div.entry-body", {},
      prose(operation.description),
      parameters.length ? part("Parameters", parameterTable(book, parameters)) : null,
      request ? part("Body", bodies(book, request.content)) : null,
      part("Answers", answers(book, operation.responses ?? {})),
      part("Try it", trial(book, each, request))));
}

const part = (title, ...content) => element("section.part", {}, element("h3", {}, title), content);

function parameterTable(book, parameters) {
  return element("ul.parameters", {}, parameters.map((each) => element("li", {},
    element("code.field", {}, each.name), " ",
    element("span.type", {}, `${typeOf(book, each.schema)}, in ${each.in}`),
    each.required ? element("span.required", {}, "required") : null,
    element("span.says", {}, each.description ?? ""))));
}

function bodies(book, content = {}) {
  return Object.entries(content).map(([type, media]) => {
    const example = exampleOf(book, media);
    return element("div.body", {},
      element("p", {}, element("code", {}, type), media.schema ? element("span.type", {}, ` ${typeOf(book, media.schema)}`) : null),
      fields(book, media.schema),
      example === undefined ? null : element("pre", {}, element("code", {}, written(example))));
  });
}

const written = (value) => (typeof value === "string" ? value : JSON.stringify(value, null, 2));

function answers(book, responses) {
  return Object.entries(responses).map(([status, given]) => {
    const response = resolve(book, given).schema;
    const inner = bodies(book, response.content);
    const head = [element("code.status-code", { data: { kind: status[0] } }, status), " ", response.description ?? ""];
    return inner.length
      ? element("details.answer", {}, element("summary", {}, head), inner)
      : element("p.answer", {}, head);
  });
}

function schemas(book) {
  const all = Object.entries(book.components?.schemas ?? {});
  if (all.length === 0) return null;
  return element("section", {}, element("h2.tag", {}, "Shapes"), all.map(([name, schema]) => element("details.entry", { id: `schema-${name}` },
    element("summary", {}, element("code.path", {}, name), element("span.summary", {}, (schema.description ?? "").split("\n")[0])),
    element("div.entry-body", {}, prose(schema.description), fields(book, schema) ?? element("p", {}, typeOf(book, schema))))));
}

/** A form for the parameters and a JSON body, and the answer as it came. */
function trial(book, { method, path, parameters, id }, request) {
  const json = request?.content?.["application/json"];
  if (request && !json) return element("p.soft", {}, "Its body is not JSON: send it with curl.");
  const sendable = parameters.filter((each) => each.in === "path" || each.in === "query");
  const inputs = sendable.map((each) => {
    const inputId = `${id}--${each.name}`;
    const input = element("input", { id: inputId, name: each.name, required: each.required, placeholder: each.in === "path" && each.name === "name" ? "default" : "" });
    if (each.in === "path" && each.name === "name") input.value = "default";
    return { each, input, row: element("div.row-field", {}, element("label", { for: inputId }, each.name), input) };
  });
  const body = json ? element("textarea", { rows: 6, spellcheck: "false", "aria-label": "Body" }) : null;
  if (body) body.value = written(exampleOf(book, json) ?? {});
  const output = element("pre.output", { hidden: true, role: "status", tabindex: "0" });
  const submit = async (event) => {
    event.preventDefault();
    let target = path;
    const query = new URLSearchParams();
    for (const { each, input } of inputs) {
      if (each.in === "path") target = target.replace(`{${each.name}}`, encodeURIComponent(input.value));
      else if (input.value !== "") query.set(each.name, input.value);
    }
    const address = query.size ? `${target}?${query}` : target;
    output.hidden = false;
    output.textContent = "…";
    output.textContent = await api.answerTo(method.toUpperCase(), address, body?.value);
  };
  return element("form.trial", { onsubmit: submit }, inputs.map(({ row }) => row), body,
    element("div", {}, element("button", { type: "submit" }, `Send ${method.toUpperCase()}`)), output);
}

/** Opens and shows what the address's fragment names. */
function reveal() {
  const target = at(decodeURIComponent(location.hash.slice(1)));
  if (target?.matches("details")) {
    target.open = true;
    target.scrollIntoView();
    target.querySelector("summary").focus({ preventScroll: true });
  }
}

at("filter").addEventListener("input", ({ target }) => {
  const wanted = target.value.trim().toLowerCase();
  for (const item of at("routes").querySelectorAll("li")) item.hidden = !item.dataset.text.includes(wanted);
  for (const section of at("routes").querySelectorAll("section")) section.hidden = !section.querySelector("li:not([hidden])");
});
window.addEventListener("hashchange", reveal);
api.onKeyWanted(keyDialog());

api.openapi().then(show, (error) => {
  at("loading").className = "refused";
  at("loading").textContent = error.message;
});
