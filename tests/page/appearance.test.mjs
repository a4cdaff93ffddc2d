// Layout, contrast and names for screen readers, narrow and wide, light and dark; and the API's pages.

import assert from "node:assert/strict";
import { faintTexts, launch, leave, nameless, screenshot, visit } from "./browser.mjs";
import { fill } from "./library.mjs";
import { Server } from "./server.mjs";
import { after, before, describe, it } from "./suite.mjs";

const WIDTHS = [360, 768, 1280, 1920];

describe("appearance", () => {
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

  const overflow = (page) => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);

  for (const dark of [false, true]) {
    const scheme = dark ? "dark" : "light";
    for (const width of WIDTHS) {
      it(`is readable at ${width} pixels, ${scheme}`, async () => {
        const page = await visit(browser, `${server.url}/?q=umbrella`, { width, height: 900, dark });
        await page.locator(".card img.loaded").first().waitFor();
        assert.equal(await overflow(page), 0);
        assert.deepEqual(await faintTexts(page), []);
        assert.deepEqual(await nameless(page), []);
        await screenshot(page, `search-${width}-${scheme}`);
        await page.locator(".of-picture .open").first().click();
        await page.locator(".plate img.loaded").waitFor();
        assert.equal(await overflow(page), 0);
        assert.deepEqual(await faintTexts(page), []);
        await screenshot(page, `details-${width}-${scheme}`);
        await leave(page);
      });
    }
  }

  it("puts drawings on a tile of sufficient contrast", async () => {
    for (const [dark, id, ink] of [[true, "umbrella", "dark-ink"], [false, "star", "light-ink"]]) {
      const page = await visit(browser, `${server.url}/?q=${id}`, { dark });
      const tile = page.locator(`[data-id="${id}"] .tile`);
      await tile.locator(`img.${ink}`).waitFor();
      await page.locator("#rest").click();
      const usual = await page.locator(".tile:not(:has(.dark-ink, .light-ink))").first().evaluate((node) => getComputedStyle(node).backgroundColor);
      assert.notEqual(await tile.evaluate((node) => getComputedStyle(node).backgroundColor), usual);
      await leave(page);
    }
  });

  it("shows every route of openapi.json on the API's pages", async () => {
    const { json: book } = await server.ask("GET", "/openapi.json");
    const routes = Object.entries(book.paths).flatMap(([path, item]) =>
      ["get", "post", "put", "patch", "delete"].filter((method) => item[method]).map((method) => `${method.toUpperCase()} ${path}`));
    assert.ok(routes.length > 10);
    const page = await visit(browser, `${server.url}/docs`);
    await page.locator(".entry").first().waitFor();
    const shown = await page.locator(".entry:has(.method) > summary").evaluateAll((all) =>
      all.map((each) => `${each.querySelector(".method").textContent} ${each.querySelector(".path").textContent}`));
    assert.deepEqual(shown.sort(), routes.sort());
    assert.equal(await overflow(page), 0);
    assert.deepEqual(await faintTexts(page), []);
    await screenshot(page, "docs");

    await page.fill("#filter", "search");
    // The filter matches a route's description as well as its path.
    const left = await page.locator("#routes li:visible").evaluateAll((all) => all.map((each) => each.dataset.text));
    assert.ok(left.length > 0 && left.length < routes.length);
    assert.ok(left.every((route) => /search/i.test(route)));
    await page.locator('#routes a[href="#post-collections-name-search"]').click();
    const entry = page.locator("#post-collections-name-search[open]");
    await entry.locator("textarea").fill('{"text": "umbrella", "limit": 1}');
    await entry.getByRole("button", { name: "Send POST" }).click();
    const output = entry.locator(".output");
    await page.waitForFunction((node) => node.textContent.length > 10, await output.elementHandle());
    assert.match(await output.textContent(), /^200 OK[^]*"hits"/);
    assert.deepEqual(await nameless(page), []);
    await screenshot(page, "docs-open");
    await leave(page);
  });

  it("fits the API's pages into 360 pixels", async () => {
    const page = await visit(browser, `${server.url}/docs#post-collections-name-search`, { width: 360, dark: true });
    await page.locator(".entry[open]").waitFor();
    assert.equal(await overflow(page), 0);
    assert.deepEqual(await faintTexts(page), []);
    await screenshot(page, "docs-360");
    await leave(page);
  });
});
