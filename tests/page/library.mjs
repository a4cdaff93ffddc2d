// The documents that the tests store first: images drawn for them (fixtures/, under clipdb's
// licence) and texts about some of them.

import { readFile } from "node:fs/promises";
import { fixture } from "./browser.mjs";

export const PICTURES = {
  fish: "A blue fish", sun: "The sun", house: "A house with a red roof", umbrella: "A violet umbrella",
  tree: "A green tree", star: "A white star", landscape: "Mountains in the evening",
};
export const TEXTS = {
  harbour: "Fresh fish is sold at the harbour every morning.",
  storm: "Take an umbrella with you, it will rain all day.",
  markup: '<img src=x onerror="document.title=\'broken in\'"> & <b>bold</b> <script>document.title="broken in"</script>',
};
/** Enough further texts for several pages of results. */
export const LEDGER = 60;

export const bytesOf = (name) => readFile(fixture(name));
export const base64Of = async (name) => (await bytesOf(name)).toString("base64");

/** A file for `setInputFiles`, or with `base64` for `drop`. */
export async function fileOf(name, type = "image/png") {
  const buffer = await bytesOf(name);
  return { name, type, mimeType: type, buffer, base64: buffer.toString("base64") };
}

export async function fill(server) {
  const pictures = await Promise.all(Object.entries(PICTURES).map(async ([id, title]) => ({
    id, image: { base64: await base64Of(`${id}.png`) }, metadata: { title, drawn: { by: "clipdb" } },
  })));
  const texts = Object.entries(TEXTS).map(([id, text]) => ({ id, text }));
  const ledger = Array.from({ length: LEDGER }, (_, line) => ({
    id: `ledger-${String(line).padStart(3, "0")}`, text: `Ledger entry ${line}: ${line * 3 + 1} sacks of flour were delivered.`,
  }));
  const { status, json } = await server.ask("POST", "/documents", [...pictures, ...texts, ...ledger]);
  if (status !== 200 || json.failed !== 0) throw new Error(`the documents were not stored: ${JSON.stringify(json).slice(0, 500)}`);
  return pictures.length + texts.length + ledger.length;
}
