// Turns chosen files into requests of a bounded size: pictures as multipart, the lines of .txt and
// .ndjson files as NDJSON. Files are read as they are needed, never all at once.

import { isPicture } from "./drop.js";

const PICTURES = 8;
const LINES = 64;
const BYTES = 8 * 1024 * 1024;
const NDJSON = /\.(ndjson|jsonl)$/i;
const TEXT = /\.txt$/i;

/**
 * Yields { items, body() } where an item is { name, ... } and the answer's results come in the
 * items' order; or { refused: name, why } for a file that no document can be made of.
 */
export async function* batches(files) {
  let pictures = [];
  for (const file of files) {
    if (isPicture(file)) {
      if (pictures.length === PICTURES || sum(pictures) + file.size > BYTES) {
        if (pictures.length) yield pictureBatch(pictures);
        pictures = [];
      }
      pictures.push({ name: file.name, bytes: file.size, file });
    } else if (NDJSON.test(file.name) || TEXT.test(file.name)) {
      yield* lineBatches(file);
    } else {
      yield { refused: file.name, why: "Only images, .txt and .ndjson files can be added." };
    }
  }
  if (pictures.length) yield pictureBatch(pictures);
}

/** How many documents the files hold: one a picture, one a line that is not empty. */
export async function documentsIn(files) {
  let count = 0;
  for (const file of files) {
    if (!NDJSON.test(file.name) && !TEXT.test(file.name)) count += 1;
    else for await (const line of linesOf(file)) count += line.trim() === "" ? 0 : 1;
  }
  return count;
}

/** The same batch in two halves, for a server that finds it too large; null for a single item. */
export function halves({ items, of }) {
  if (items.length < 2) return null;
  const middle = items.length >> 1;
  return [of(items.slice(0, middle)), of(items.slice(middle))];
}

const sum = (items) => items.reduce((bytes, item) => bytes + item.bytes, 0);

function pictureBatch(items) {
  const body = () => {
    const form = new FormData();
    for (const { file } of items) form.append("files", file, file.name);
    return form;
  };
  return { items, body, of: pictureBatch };
}

function lineBatch(items) {
  const body = () => items.map((item) => item.json).join("\n") + "\n";
  return { items, body, of: lineBatch };
}

async function* lineBatches(file) {
  const asDocument = NDJSON.test(file.name)
    ? (line) => line
    : (line, number) => JSON.stringify({ text: line, metadata: { filename: file.name, line: number } });
  const encoder = new TextEncoder();
  let items = [];
  let bytes = 0;
  let number = 0;
  for await (const line of linesOf(file)) {
    number += 1;
    const length = encoder.encode(line).length + 1;
    if (items.length === LINES || bytes + length > BYTES) {
      if (items.length) yield lineBatch(items);
      items = [];
      bytes = 0;
    }
    bytes += length;
    if (line.trim() !== "") items.push({ name: `${file.name}, line ${number}`, bytes: length, json: asDocument(line.trim(), number) });
  }
  if (items.length) yield lineBatch(items);
}

async function* linesOf(file) {
  let rest = "";
  const reader = file.stream().pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    const lines = (rest + value).split(/\r?\n/);
    rest = lines.pop();
    yield* lines;
  }
  if (rest !== "") yield rest;
}
