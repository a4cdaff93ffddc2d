// JSON Schema, as OpenAPI 3.1 uses it, shown as nested lists; and an example made of one.

import { element } from "./element.js";

const DEEPEST = 6;

/** What `$ref` points to inside `document`, with the name it has there. */
export function resolve(document, schema) {
  if (!schema?.$ref) return { schema: schema ?? {}, name: null };
  const steps = schema.$ref.replace(/^#\//, "").split("/").map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"));
  const found = steps.reduce((place, step) => place?.[step], document);
  return { schema: found ?? {}, name: steps.at(-1) };
}

/** A schema's type in a few words: "string", "array of Document", "one of …". */
export function typeOf(document, given) {
  const { schema, name } = resolve(document, given);
  if (name) return name;
  const choices = schema.oneOf ?? schema.anyOf;
  if (choices) return choices.map((choice) => typeOf(document, choice)).join(" or ");
  if (schema.allOf) return schema.allOf.map((part) => typeOf(document, part)).join(" and ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  const types = [schema.type ?? (schema.properties ? "object" : schema.enum ? "one of" : "any")].flat();
  return types.map((type) => (type === "array" && schema.items ? `array of ${typeOf(document, schema.items)}` : type)).join(" or ");
}

/** The fields of an object, or of what an array or a choice holds, each with its own below it. */
export function fields(document, given, depth = 0) {
  const { schema } = resolve(document, given);
  if (depth > DEEPEST) return null;
  const inner = schema.oneOf ?? schema.anyOf ?? schema.allOf ?? (schema.items ? [schema.items] : []);
  const lists = inner.map((each) => fields(document, each, depth + 1)).filter(Boolean);
  const rows = Object.entries(schema.properties ?? {}).map(([name, property]) => {
    const { schema: target, name: reference } = resolve(document, property);
    return element("li", {},
      element("code.field", {}, name), " ",
      reference
        ? element("a.type", { href: `#schema-${reference}` }, reference)
        : element("span.type", {}, typeOf(document, property)),
      schema.required?.includes(name) ? element("span.required", {}, "required") : null,
      element("span.facts", {}, facts(target)),
      element("span.says", {}, property.description ?? target.description ?? ""),
      reference ? null : fields(document, property, depth + 1));
  });
  if (rows.length === 0 && lists.length === 0) return null;
  return element("div.fields", {}, rows.length ? element("ul", {}, rows) : null, lists);
}

function facts(schema) {
  const range = [schema.minimum, schema.maximum];
  return [
    schema.enum ? schema.enum.map((value) => JSON.stringify(value)).join(" | ") : null,
    range.some((end) => end !== undefined) ? `${range[0] ?? "…"} to ${range[1] ?? "…"}` : null,
    schema.default !== undefined ? `default ${JSON.stringify(schema.default)}` : null,
    schema.format ?? null,
  ].filter(Boolean).join(", ");
}

/** The example that a media type gives, or undefined. */
export function exampleOf(document, media) {
  if (media?.example !== undefined) return media.example;
  const first = Object.values(media?.examples ?? {})[0];
  if (first) return resolve(document, first).schema.value;
  const { schema } = resolve(document, media?.schema);
  return schema.example ?? schema.examples?.[0];
}
