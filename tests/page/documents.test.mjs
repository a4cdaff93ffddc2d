// Documents: uploads, details, deletion.

import assert from "node:assert/strict";
import { drop, launch, leave, nameless, screenshot, visit } from "./browser.mjs";
import { fileOf, fill, PICTURES } from "./library.mjs";
import { Server } from "./server.mjs";
import { after, before, describe, it } from "./suite.mjs";

describe("documents", () => {
  let server, browser;
  before(async () => {
    browser = await launch();
    server = await Server.start();
    await fill(server);
  });
  after(async () => {
    await browser?.close();
    await server?.remove();
  });

  const count = async () => (await server.ask("GET", "/collections/default")).json.documents;
  const text = (name, content) => ({ name, mimeType: "text/plain", buffer: Buffer.from(content) });
  // Two busy cores embed about one image per second.
  const finished = (page) => page.locator("#tray:not([data-state=running])").waitFor({ timeout: 180_000 });

  it("adds chosen files with an exact progress bar, and lists failures with their reasons", async () => {
    const page = await visit(browser, server.url);
    await page.locator(".card").first().waitFor();
    const before = await count();
    const pictures = await Promise.all(Object.keys(PICTURES).map((name) => fileOf(`${name}.png`)));
    const many = Array.from({ length: 3 }, (_, copy) => pictures.map((file) => ({ ...file, name: `${copy}-${file.name}` }))).flat();
    const lines = Array.from({ length: 150 }, (_, line) => `Sentence ${line} of the uploaded shelf.`).join("\r\n\r\n");
    const ndjson = ['{"id": "from-lines", "text": "A document from a line."}', '{"text": 7}', "not JSON at all"].join("\n");
    await page.evaluate(() => {
      window.seen = [];
      new MutationObserver(() => {
        const bar = document.querySelector("[role=progressbar]");
        if (bar) window.seen.push([Number(bar.getAttribute("aria-valuenow")), document.querySelector(".figures").textContent]);
      }).observe(document.getElementById("tray"), { subtree: true, childList: true, attributes: true, characterData: true });
    });
    const [chooser] = await Promise.all([page.waitForEvent("filechooser"), page.locator("#add").click()]);
    await chooser.setFiles([
      ...many,
      { name: "broken.png", mimeType: "image/png", buffer: Buffer.from("no pixels in here") },
      text("shelf.txt", lines),
      text("rows.ndjson", ndjson),
      text("letter.docx", "no"),
    ]);
    await finished(page);

    const expected = many.length + 150 + 1;
    assert.equal(await count(), before + expected);
    assert.equal(await page.textContent(".figures"), `${expected} of ${expected + 4} added, 4 failed`);
    const shares = (await page.evaluate(() => window.seen)).map(([share]) => share);
    assert.deepEqual(shares, [...shares].sort((a, b) => a - b), "the bar never goes back");
    assert.ok(new Set(shares).size >= 4, `the bar moved in steps: ${[...new Set(shares)]}`);
    assert.equal(shares.at(-1), 100);
    const failures = await page.locator(".failures li").allTextContents();
    assert.equal(failures.length, 4);
    for (const name of ["broken.png", "rows.ndjson, line 2", "rows.ndjson, line 3", "letter.docx"]) {
      const failure = failures.find((each) => each.startsWith(name));
      assert.ok(failure && failure.length > name.length + 12, `${name} is listed with its reason: ${failures.join(" | ")}`);
    }
    const size = `${before + expected} documents`;
    await page.waitForFunction((size) => document.getElementById("collection-size").textContent === size, size);
    await screenshot(page, "upload-done");
    await page.getByRole("button", { name: "Close" }).click();
    assert.equal(await page.isVisible("#tray"), false);

    await page.fill("#words", "Sentence 77 of the uploaded shelf");
    await page.locator(".score").first().waitFor();
    assert.match(await page.locator(".passage").first().textContent(), /Sentence 77 /);
    await leave(page);
  });

  it("adds files dropped on the adding side", async () => {
    const page = await visit(browser, server.url);
    await page.locator(".card").first().waitFor();
    const before = await count();
    const { name, type, base64 } = await fileOf("tree.png");
    await drop(page, "[data-drop=add]", [{ name, type, base64 }]);
    await finished(page);
    assert.equal(await page.textContent("#tray strong"), "Done");
    assert.equal(await count(), before + 1);
    await leave(page);
  });

  it("stops an upload on request", async () => {
    const page = await visit(browser, server.url);
    await page.locator(".card").first().waitFor();
    const before = await count();
    await page.route("**/documents", async (route) => {
      await new Promise((resolve) => setTimeout(resolve, 300));
      await route.continue().catch(() => {});
    });
    await page.setInputFiles("#add-files", [text("long.txt", Array.from({ length: 2000 }, (_, line) => `Never sent ${line}`).join("\n"))]);
    await page.getByRole("button", { name: "Stop" }).click();
    await finished(page);
    assert.equal(await page.textContent("#tray strong"), "Stopped");
    assert.ok((await count()) - before < 2000);
    await leave(page);
  });

  it("shows all of a document, with parts that add up to its score", async () => {
    const page = await visit(browser, `${server.url}/?q=A+blue+fish`);
    await page.locator('[data-id="fish"] .open').click();
    const dialog = page.locator("#details[open]");
    await dialog.locator(".plate img.loaded").waitFor();
    assert.equal(await dialog.locator(".plate img").evaluate((image) => image.naturalWidth), 160);
    assert.equal(await dialog.locator("h2").textContent(), PICTURES.fish);
    const rows = await dialog.locator(".metadata div").evaluateAll((rows) => rows.map((row) => [...row.children].map((cell) => cell.textContent)));
    for (const row of [["id", "fish"], ["title", PICTURES.fish], ["drawn.by", "clipdb"]]) {
      assert.ok(rows.some((each) => each.join() === row.join()), `${row} is among ${rows.join(" | ")}`);
    }
    await dialog.getByText("160 × 160, PNG").waitFor();
    const adds = (await dialog.locator(".explanation tbody td:nth-child(5)").allTextContents()).map(Number);
    const score = Number(await dialog.locator(".explanation tfoot td").first().textContent());
    assert.ok(adds.length >= 1 && Math.abs(adds.reduce((sum, part) => sum + part, 0) - score) < 0.0002, `${adds} makes ${score}`);
    assert.deepEqual(await nameless(page), []);
    await screenshot(page, "details");
    const shown = await dialog.locator(".metadata dd").first().textContent();
    await page.keyboard.press("ArrowRight");
    await page.waitForFunction((shown) => document.querySelector("#details .metadata dd").textContent !== shown, shown);
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" });
    await leave(page);
  });

  it("deletes a document after a confirmation", async () => {
    const page = await visit(browser, `${server.url}/?q=A+green+tree`);
    await page.locator('[data-id="tree"] .open').click();
    await page.getByRole("button", { name: "Delete", exact: true }).click();
    await screenshot(page, "delete");
    await page.getByRole("button", { name: "Keep" }).click();
    assert.equal((await server.ask("GET", "/collections/default/documents/tree")).status, 200);
    await page.getByRole("button", { name: "Delete", exact: true }).click();
    await page.getByRole("button", { name: "Delete it" }).click();
    await page.locator("#details[open]").waitFor({ state: "detached" });
    await page.locator('[data-id="tree"]').waitFor({ state: "detached" });
    assert.equal((await server.ask("GET", "/collections/default/documents/tree")).status, 404);
    await page.waitForFunction(async () => document.activeElement.matches(".open"));
    await leave(page);
  });

  it("shows why a document cannot be deleted", async () => {
    const page = await visit(browser, `${server.url}/?q=The+sun`);
    await page.locator('[data-id="sun"] .open').click();
    assert.equal((await server.ask("DELETE", "/collections/default/documents/sun")).status, 204);
    await page.getByRole("button", { name: "Delete", exact: true }).click();
    await page.getByRole("button", { name: "Delete it" }).click();
    const reason = page.locator("#details .refused");
    await reason.waitFor();
    assert.match(await reason.textContent(), /no document 'sun'/);
    await leave(page);
  });
});
