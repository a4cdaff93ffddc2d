// Scores as figures and as bars whose pieces are the lists that a score comes from.

import { element } from "./element.js";

export const LISTS = { image: "image", text: "text", keyword: "keyword" };

/** Fused scores live near 0.03 and cosines near 0.3: three figures that count, either way. */
export function figure(score) {
  if (!Number.isFinite(score)) return "";
  if (score === 0 || Math.abs(score) >= 0.1) return score.toFixed(3);
  return score.toFixed(4);
}

/** A confidence; below a tenth with a digit more. */
export function percent(confidence) {
  if (confidence < 0.0005) return "<0.1%";
  return `${(100 * confidence).toFixed(confidence < 0.095 ? 1 : 0)}%`;
}

/** A score as a share of the best one, in pieces by list where the server explained it. */
export function bar(hit, best) {
  const parts = (hit.explain?.parts ?? [{ list: "", contribution: hit.score }]).filter((part) => part.contribution > 0);
  const pieces = parts.map((part) => {
    const piece = element("span", { data: { list: part.list } });
    piece.style.width = `${best > 0 ? Math.min(100, (100 * part.contribution) / best) : 0}%`;
    return piece;
  });
  return element("span.bar", { "aria-hidden": "true" }, pieces);
}

/** The lists' parts in a table that adds up to the score. */
export function explanation(hit) {
  const { parts, score } = hit.explain;
  const best = Math.max(...parts.map((part) => Math.abs(part.contribution)), Number.MIN_VALUE);
  const rows = parts.map((part) => {
    const length = element("span", { data: { list: part.list } });
    length.style.width = `${(100 * Math.max(0, part.contribution)) / best}%`;
    return element("tr", {},
      element("th", { scope: "row" }, LISTS[part.list] ?? part.list),
      element("td", {}, part.rank === null || part.rank === undefined ? "–" : String(part.rank)),
      element("td", {}, Number.isFinite(part.raw) ? figure(part.raw) : "–"),
      element("td", {}, Number.isFinite(part.weight) ? String(Number(part.weight.toPrecision(3))) : "–"),
      element("td", {}, figure(part.contribution)),
      element("td.length", { "aria-hidden": "true" }, element("span.bar", {}, length)));
  });
  const heads = ["List", "Rank", "Raw", "Weight", "Adds"].map((name) => element("th", { scope: "col" }, name));
  return element("table.explanation", {},
    element("thead", {}, element("tr", {}, heads, element("td"))),
    element("tbody", {}, rows),
    element("tfoot", {}, element("tr", {},
      element("th", { scope: "row", colspan: "4" }, "Score"), element("td", {}, figure(score)), element("td"))));
}
