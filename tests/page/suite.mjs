// `describe`, `it`, `before` and `after` of node:test. With CLIPDB_SKIP_PAGE_TESTS=1 every test is
// skipped and appends a line to the file in CLIPDB_SKIPPED_TESTS, which tests/run.sh prints.
// Without it a missing browser is a failure.

import { appendFileSync } from "node:fs";
import path from "node:path";
import * as node from "node:test";

const SKIPS = process.env.CLIPDB_SKIP_PAGE_TESTS === "1";
const REPORT = process.env.CLIPDB_SKIPPED_TESTS;
const REASON = "CLIPDB_SKIP_PAGE_TESTS=1";
const FILE = path.basename(process.argv[1] ?? "page");

function skip(name) {
  if (REPORT) appendFileSync(REPORT, `${REASON}: ${FILE} ${name}\n`);
  return node.it(name, { skip: REASON });
}

export const { describe } = node;
export const it = SKIPS ? skip : node.it;
export const before = SKIPS ? () => {} : node.before;
export const after = SKIPS ? () => {} : node.after;
