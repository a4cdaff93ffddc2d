// Chromium, and pages in it that record what a visitor would not notice: errors on the console,
// violations of the content security policy, requests to other hosts.
//
// CLIPDB_BROWSER names the executable (default: Debian's /usr/bin/chromium).
// CLIPDB_SCREENSHOTS names a folder for screenshots (default: none are taken).

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import path from "node:path";

const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];
const BROWSER = process.env.CLIPDB_BROWSER ?? "/usr/bin/chromium";
const SCREENSHOTS = process.env.CLIPDB_SCREENSHOTS;

export const FIXTURES = path.join(import.meta.dirname, "fixtures");
export const fixture = (name) => path.join(FIXTURES, name);

export async function launch() {
  if (!existsSync(BROWSER)) {
    throw new Error(`there is no browser at ${BROWSER}: install chromium (Ubuntu has it only as a snap), name one in CLIPDB_BROWSER, or set CLIPDB_SKIP_PAGE_TESTS=1`);
  }
  // Imported here so that CLIPDB_SKIP_PAGE_TESTS=1 works without node_modules.
  const { chromium } = await import("playwright-core");
  if (SCREENSHOTS) await mkdir(SCREENSHOTS, { recursive: true });
  return chromium.launch({ executablePath: BROWSER, headless: true, args: FLAGS });
}

/** A page on `address`; `page.troubles` lists its errors. */
export async function visit(browser, address, { width = 1280, height = 900, dark = false } = {}) {
  const context = await browser.newContext({
    viewport: { width, height }, colorScheme: dark ? "dark" : "light", reducedMotion: "reduce", locale: "en-GB",
  });
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  page.troubles = [];
  page.on("pageerror", (error) => page.troubles.push(`uncaught: ${error.stack}`));
  page.on("console", (message) => {
    // Chromium logs each 4xx itself; the tests check how the page handles them.
    if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) page.troubles.push(message.text());
  });
  page.on("request", (request) => {
    const { protocol, origin } = new URL(request.url());
    if (!["blob:", "data:"].includes(protocol) && origin !== new URL(address).origin) page.troubles.push(`requested ${request.url()}`);
  });
  await page.goto(address);
  return page;
}

/** Closes the page; fails if it had any errors. */
export async function leave(page) {
  const { troubles } = page;
  await page.context().close();
  assert.deepEqual(troubles, []);
}

export async function screenshot(page, name) {
  if (SCREENSHOTS) await page.screenshot({ path: path.join(SCREENSHOTS, `${name}.png`) });
}

/** Drops files with the browser's sequence of events: enter the window, hover over the target, release. */
export async function drop(page, target, files) {
  await page.evaluate(async ({ target, files }) => {
    const transfer = new DataTransfer();
    for (const { name, type, base64 } of files) {
      const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
      transfer.items.add(new File([bytes], name, { type }));
    }
    const fire = (node, kind) => node.dispatchEvent(new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true }));
    fire(document.body, "dragenter");
    const place = document.querySelector(target);
    if (place.getClientRects().length === 0) throw new Error(`${target} is not shown while files are dragged`);
    fire(place, "dragover");
    fire(place, "drop");
  }, { target, files });
}

/** Texts whose contrast with their background is below WCAG's AA, as "ratio text" lines. */
export function faintTexts(page) {
  return page.evaluate(() => {
    const parse = (color) => {
      const [r, g, b, a = 1] = color.match(/[\d.]+/g).map(Number);
      return { r, g, b, a };
    };
    const luminance = ({ r, g, b }) => [r, g, b].map((value) => value / 255)
      .map((value) => (value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
      .reduce((sum, value, index) => sum + value * [0.2126, 0.7152, 0.0722][index], 0);
    const behind = (node) => {
      for (let each = node; each; each = each.parentElement) {
        const background = parse(getComputedStyle(each).backgroundColor);
        if (background.a === 1) return background;
      }
      return { r: 255, g: 255, b: 255 };
    };
    const faint = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const node = walker.currentNode.parentElement;
      const text = walker.currentNode.textContent.trim();
      if (text === "" || node.closest("[hidden], dialog:not([open]), :disabled, .unseen, option") || node.getClientRects().length === 0) continue;
      const style = getComputedStyle(node);
      if (style.visibility === "hidden") continue;
      const [light, dark] = [luminance(parse(style.color)), luminance(behind(node))].sort((a, b) => b - a);
      const ratio = (light + 0.05) / (dark + 0.05);
      const large = parseFloat(style.fontSize) >= 24;
      if (ratio < (large ? 3 : 4.5)) faint.push(`${ratio.toFixed(2)} ${node.tagName.toLowerCase()}.${node.className} "${text.slice(0, 40)}"`);
    }
    return faint;
  });
}

/** Controls and images without a name for screen readers. */
export function nameless(page) {
  return page.evaluate(() => [...document.querySelectorAll("button, a, input, select, textarea, img, [role=progressbar]")]
    .filter((node) => node.getClientRects().length > 0)
    .filter((node) => {
      const labels = [...(node.labels ?? [])].map((label) => label.textContent).join("");
      const name = node.getAttribute("aria-label") ?? (node.matches("img") ? node.getAttribute("alt") : labels || node.textContent || node.title);
      return name === null || (name.trim() === "" && !(node.matches("img") && node.closest("a, button")));
    })
    .map((node) => node.outerHTML.slice(0, 120)));
}
