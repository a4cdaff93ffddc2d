// The page of a server that has an API key, is empty, or is down.

import assert from "node:assert/strict";
import { fixture, launch, leave, screenshot, visit } from "./browser.mjs";
import { Server } from "./server.mjs";
import { after, before, describe, it } from "./suite.mjs";

const KEY = "correct-horse-battery-staple";

describe("a server with a key", () => {
  let server, browser;
  before(async () => {
    browser = await launch();
    server = await Server.start("--api-key", KEY);
  });
  after(async () => {
    await browser?.close();
    await server?.remove();
  });

  const withKey = { Authorization: `Bearer ${KEY}` };
  const enter = async (page, key) => {
    await page.fill("#key-value", key);
    await page.keyboard.press("Enter");
  };

  it("serves the page without the key, under a strict content security policy", async () => {
    for (const [path, type] of [["/", "text/html"], ["/docs", "text/html"], ["/page/page.js", "text/javascript"], ["/page/page.css", "text/css"]]) {
      const response = await fetch(server.url + path);
      assert.equal(response.status, 200, path);
      assert.ok(response.headers.get("content-type").startsWith(type), `${path}: ${response.headers.get("content-type")}`);
      assert.match(response.headers.get("content-security-policy"), /default-src 'self'/);
      assert.doesNotMatch(response.headers.get("content-security-policy"), /unsafe/);
    }
    assert.equal((await server.ask("GET", "/collections")).status, 401);
  });

  it("asks for the key, reports a wrong one, and continues with the right one", async () => {
    const page = await visit(browser, server.url);
    await page.locator("#key[open]").waitFor();
    await enter(page, "wrong");
    await page.locator("#key-refused").waitFor();
    await screenshot(page, "key");
    await enter(page, KEY);
    await page.locator("#empty").waitFor();
    assert.equal(await page.locator("#key[open]").count(), 0);

    // The empty state leads to a first document, whose thumbnail needs the key as well.
    assert.match(await page.textContent("#empty-curl"), new RegExp(`curl ${server.url}/documents [^]*Bearer KEY`));
    await screenshot(page, "empty");
    const [chooser] = await Promise.all([page.waitForEvent("filechooser"), page.locator("#empty-add").click()]);
    await chooser.setFiles(fixture("landscape.png"));
    await page.locator(".card img.loaded").waitFor();
    assert.equal(await page.isVisible("#empty"), false);
    assert.ok(await page.locator(".card img").evaluate((image) => image.naturalWidth > 0));

    await page.reload();
    await page.locator(".card img.loaded").waitFor();
    assert.equal(await page.locator("#key[open]").count(), 0, "the key is kept for the tab");
    assert.equal(await page.evaluate(() => Object.keys(localStorage).length), 0, "and nowhere else");
    await leave(page);
  });

  it("explains that it needs a key when none is entered", async () => {
    const page = await visit(browser, server.url);
    await page.locator("#key[open]").waitFor();
    await page.keyboard.press("Escape");
    await page.locator("#notice").waitFor();
    assert.match(await page.textContent("#notice"), /key/i);
    await leave(page);
  });

  it("recovers without a reload when the server restarts", async () => {
    await server.ask("POST", "/documents", { id: "note", text: "A note." }, withKey);
    const page = await visit(browser, server.url);
    await enter(page, KEY);
    await page.locator(".card").first().waitFor();
    await server.stop();
    await page.fill("#words", "note");
    await page.locator("#notice").waitFor();
    assert.match(await page.textContent("#notice"), /does not answer/);
    assert.ok(await page.locator(".card").count(), "the results stay in view");
    await screenshot(page, "stopped");
    await server.start();
    await page.locator("#notice").waitFor({ state: "hidden", timeout: 20_000 });
    await page.locator(".score").first().waitFor();
    await leave(page);
  });
});
