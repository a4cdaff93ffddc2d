// Values of fields, each with its number of results; pressing one filters by it.

import { element } from "./element.js";

/** Documents to learn a collection's fields from. */
export const SAMPLE = 50;
/** Values of a field that are shown. */
export const VALUES = 6;
const FIELDS = 4;
const LONGEST = 40;

/** The fields of a sample whose values come again: those of most documents first. */
export function fieldsOf(documents) {
  const fields = new Map();
  for (const { metadata } of documents) {
    for (const [field, value] of valuesOf(metadata ?? {})) {
      const { times, values } = fields.get(field) ?? { times: 0, values: new Set() };
      fields.set(field, { times: times + 1, values: values.add(value) });
    }
  }
  return [...fields]
    .filter(([field, { times, values }]) => times >= 2 * values.size && !field.startsWith("$"))
    .sort(([, a], [, b]) => b.times - a.times || a.values.size - b.values.size)
    .slice(0, FIELDS)
    .map(([field]) => field);
}

/** Short scalars by the dotted names that filters use. */
function valuesOf(object, prefix = "") {
  return Object.entries(object).flatMap(([name, value]) => {
    const field = prefix + name;
    if (value !== null && typeof value === "object" && !Array.isArray(value)) return valuesOf(value, `${field}.`);
    return [value].flat().filter(isShort).map((each) => [field, each]);
  });
}

const isShort = (value) => typeof value === "boolean" || Number.isInteger(value)
  || (typeof value === "string" && value !== "" && value.length <= LONGEST);

/** `filters` is a Map of the fields that are kept to one value; `press(field, value)` is called. */
export function facetRows(facets, filters, press) {
  const fields = new Set([...filters.keys(), ...Object.keys(facets)]);
  return [...fields].map((field) => row(field, facets[field] ?? [], filters, press)).filter(Boolean);
}

function row(field, counts, filters, press) {
  const kept = filters.get(field);
  const shown = counts.filter(({ value }) => isShort(value));
  if (kept !== undefined && !shown.some(({ value }) => value === kept)) shown.unshift({ value: kept, count: 0 });
  if (shown.length === 0) return null;
  return element("div.facet", { role: "group", "aria-label": field },
    element("span.facet-name", {}, field),
    shown.map(({ value, count }) => element("button.facet-value", {
      type: "button",
      "aria-pressed": String(value === kept),
      data: { field, value: String(value) },
      onclick: () => press(field, value),
    }, element("span", {}, String(value)), element("span.facet-count", {}, count.toLocaleString("en")))));
}
