// clipdb's REST API for this page: sends requests, attaches the key, and turns every failure into a
// `Problem` (the server refused, with a reason) or an `Unreachable` (no response).

const KEY = "clipdb-key";
let key = sessionStorage.getItem(KEY);
let askForKey = async () => null;
let asking = null;

/** What the server refused, in its own words: problem+json's `status`, `code` and `detail`. */
export class Problem extends Error {
  constructor(status, { title, detail, code } = {}) {
    const words = detail || title || `the server responded with ${status}`;
    super(words[0].toUpperCase() + words.slice(1));
    this.status = status;
    this.code = code;
  }
}

/** No answer at all: the server has stopped, or the network has. */
export class Unreachable extends Error {
  constructor() {
    super(`clipdb does not answer at ${location.host}.`);
  }
}

/** `ask(refused)` resolves to a key when the server wants one, or null when there is none. */
export function onKeyWanted(ask) {
  askForKey = ask;
}

export const needsKey = () => key !== null;

const authorization = () => (key === null ? {} : { Authorization: `Bearer ${key}` });

/** Asks once however many requests were refused together; true when a new key is worth a try. */
async function obtainKey(refusedKey) {
  if (key !== refusedKey) return true;
  asking ??= askForKey(refusedKey !== null).finally(() => (asking = null));
  const given = await asking;
  if (given === null) return false;
  key = given;
  sessionStorage.setItem(KEY, given);
  return true;
}

function problemOf(status, text) {
  try {
    return new Problem(status, JSON.parse(text));
  } catch {
    return new Problem(status, { detail: text.slice(0, 300) });
  }
}

/** The address of a path of the API: the page may be served under any path, and the API with it. */
export const under = (path) => new URL(path.replace(/^\/+/, "./"), document.baseURI);

async function send(method, path, { json, signal } = {}) {
  for (;;) {
    const used = key;
    let response;
    try {
      response = await fetch(under(path), {
        method,
        signal,
        headers: { ...authorization(), ...(json === undefined ? {} : { "Content-Type": "application/json" }) },
        body: json === undefined ? undefined : JSON.stringify(json),
      });
    } catch (error) {
      throw error.name === "AbortError" ? error : new Unreachable();
    }
    if (response.ok) return response;
    if (response.status === 401 && (await obtainKey(used))) continue;
    throw problemOf(response.status, await response.text());
  }
}

const json = async (...request) => (await send(...request)).json();
const inCollection = (name, rest = "") => `/collections/${encodeURIComponent(name)}${rest}`;
const document_ = (name, id) => inCollection(name, `/documents/${encodeURIComponent(id)}`);

export const collections = async () => (await json("GET", "/collections")).collections;
export const openapi = () => json("GET", "/openapi.json");
export const readDocument = async (name, id) => located(name, await json("GET", document_(name, id)));

export async function search(name, body, signal) {
  const answer = await json("POST", inCollection(name, "/search"), { json: body, signal });
  return { ...answer, hits: answer.hits.map((hit) => located(name, hit)) };
}

/** The document with its picture's address as this page finds it: a proxy may have moved both. */
function located(name, found) {
  return found.image ? { ...found, image: under(`${document_(name, found.id)}/image`).href } : found;
}
export const deleteDocument = (name, id) => send("DELETE", document_(name, id));

/** Whatever the server answers to a request written by hand: its status, then its body. */
export async function answerTo(method, path, body) {
  try {
    const response = await fetch(under(path), {
      method,
      headers: { ...authorization(), ...(body === undefined ? {} : { "Content-Type": "application/json" }) },
      body,
    });
    const text = await response.text();
    return `${response.status} ${response.statusText}\n\n${indented(text)}`;
  } catch {
    return new Unreachable().message;
  }
}

function indented(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

/** True once the server is ready to answer. */
export async function ready() {
  try {
    return (await fetch(under("/ready"))).ok;
  } catch {
    return false;
  }
}

/** An address for an `<img>`: the picture's own, or a blob of it where a key must go along. */
export async function imageSource(path) {
  if (key === null) return path;
  return URL.createObjectURL(await (await send("GET", path)).blob());
}

/**
 * Adds documents. `body` is a FormData or NDJSON text; `sent(share)` is called with the share that was sent.
 * XMLHttpRequest because fetch does not report what it has sent.
 */
export async function addDocuments(name, body, { sent, signal }) {
  // The collection `default` is made on first use by its own route.
  const path = name === "default" ? "/documents" : inCollection(name, "/documents");
  for (;;) {
    const used = key;
    const { status, text } = await post(path, body, { sent, signal });
    if (status === 401 && (await obtainKey(used))) continue;
    if (status < 200 || status > 299) throw problemOf(status, text);
    return JSON.parse(text);
  }
}

function post(path, body, { sent, signal }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const stopped = () => reject(new DOMException("stopped", "AbortError"));
    request.open("POST", under(path));
    for (const [name, value] of Object.entries(authorization())) request.setRequestHeader(name, value);
    if (typeof body === "string") request.setRequestHeader("Content-Type", "application/x-ndjson");
    request.upload.onprogress = (event) => event.lengthComputable && sent(event.loaded / event.total);
    request.onload = () => resolve({ status: request.status, text: request.responseText });
    request.onerror = () => reject(new Unreachable());
    request.onabort = stopped;
    if (signal.aborted) return stopped();
    signal.addEventListener("abort", () => request.abort(), { once: true });
    request.send(body);
  });
}
