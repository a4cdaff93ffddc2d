// Searches by words, by images and by earlier results.

import assert from "node:assert/strict";
import { drop, fixture, launch, leave, screenshot, visit } from "./browser.mjs";
import { base64Of, fileOf, fill, TEXTS } from "./library.mjs";
import { Server } from "./server.mjs";
import { after, before, describe, it } from "./suite.mjs";

describe("searching", () => {
  let server, browser, stored;
  before(async () => {
    browser = await launch();
    server = await Server.start();
    stored = await fill(server);
  });
  after(async () => {
    await browser?.close();
    await server?.remove();
  });

  const ids = (page) => page.locator(".card").evaluateAll((cards) => cards.map((card) => card.dataset.id));
  const firstIs = (page, id) => page.locator(`.card:first-child[data-id="${id}"]`).waitFor();
  const settled = (page, words) => page.waitForFunction((words) => new URLSearchParams(location.search).get("q") === words
    && document.getElementById("busy").hidden && document.querySelector(".score"), words);
  const count = async () => (await server.ask("GET", "/collections/default")).json.documents;

  it("lists the stored documents before the first search", async () => {
    const page = await visit(browser, server.url);
    await page.locator(".card").first().waitFor();
    assert.equal(await page.locator(".card").count(), 30);
    assert.equal(await page.textContent("#collection-size"), `${stored} documents`);
    assert.equal(await page.textContent("#status"), `${stored} documents`);
    assert.match(await page.textContent("#model"), /\S+ · \d+ dimensions/);
    assert.equal(await page.locator(".card .score").count(), 0);
    await screenshot(page, "browse");
    await leave(page);
  });

  it("searches while words are typed", async () => {
    const page = await visit(browser, server.url);
    await page.keyboard.press("/");
    await page.keyboard.type("fish at the harbour", { delay: 15 });
    // An earlier search, for the first words, may have shown the same card.
    await settled(page, "fish at the harbour");
    await firstIs(page, "harbour");
    assert.match(await page.textContent("#status"), /^\d+ results · [\d.]+ ms$/);
    assert.match(await page.getAttribute("#status", "title"), /^total [\d.]+ ms$/m);
    assert.equal(new URL(page.url()).searchParams.get("q"), "fish at the harbour");
    const scores = await page.locator(".score").allTextContents();
    assert.deepEqual(scores.map(Number), scores.map(Number).sort((a, b) => b - a));
    assert.ok(await page.locator('.card:first-child .bar [data-list="text"]').count(), "the bar has a part for its text");
    await screenshot(page, "typed");
    await leave(page);
  });

  it("shows the number of results as exact, a lower bound or a limit", async () => {
    const page = await visit(browser, server.url);
    let total;
    await page.route("**/search", async (route) => {
      const answer = await route.fetch();
      await route.fulfill({ response: answer, json: { ...(await answer.json()), total } });
    });
    for (const [words, value, kind, said] of [
      ["sacks", 1234, "exact", "1,234 results"], ["flour", 1, "exact", "1 result"],
      ["sacks of flour", 1000, "at_least", "1,000 results or more"], ["ledger", 1432, "top", "the best 1,432 results"],
    ]) {
      total = { value, kind };
      await page.fill("#words", words);
      await settled(page, words);
      assert.equal((await page.textContent("#status")).split(" · ")[0], said);
    }
    await leave(page);
  });

  it("shows facet values and filters by them", async () => {
    const animals = ["dog", "cat", "owl"];
    const documents = Array.from({ length: 18 }, (_, n) => ({
      id: `animal-${String(n).padStart(2, "0")}`, text: `A ${animals[n % 3]} on day ${n}`,
      metadata: { kind: animals[n % 3], at: { night: n % 2 === 0 }, tags: n % 3 === 0 ? ["loud", "tame"] : ["quiet"], day: n },
    }));
    assert.equal((await server.ask("PUT", "/collections/animals", {})).status, 201);
    await server.ask("POST", "/collections/animals/documents", documents);
    const page = await visit(browser, `${server.url}/?collection=animals`);
    const button = (field, value) => page.locator(`.facet-value[data-field="${field}"][data-value="${value}"]`);
    const shown = (count) => page.waitForFunction((count) => document.querySelectorAll(".card").length === count, count);
    await shown(18);
    assert.deepEqual(await page.locator(".facet-name").allTextContents().then((names) => names.sort()), ["at.night", "kind", "tags"]);
    assert.equal(await button("kind", "dog").textContent(), "dog6");
    await screenshot(page, "facets");
    await button("kind", "dog").click();
    await shown(6);
    assert.equal(await button("kind", "dog").getAttribute("aria-pressed"), "true");
    assert.equal(await page.evaluate(() => document.activeElement.dataset.value), "dog");
    assert.equal(await page.textContent("#status"), "6 documents");
    await button("at.night", "true").click();
    await shown(3);
    await page.fill("#words", "day");
    await settled(page, "day");
    await shown(3);
    assert.match(await page.textContent("#status"), /^3 results/);
    await screenshot(page, "facets-kept");
    await page.reload();
    await shown(3);
    await button("kind", "dog").click();
    await shown(9);
    assert.ok((await ids(page)).every((id) => Number(id.slice(-2)) % 2 === 0));
    await page.goto(`${server.url}/?collection=animals&where=nonsense`);
    await shown(18);
    assert.equal((await server.ask("DELETE", "/collections/animals")).status, 204);
    await leave(page);
  });

  it("ignores responses to earlier searches", async () => {
    const page = await visit(browser, server.url);
    await page.locator(".card").first().waitFor();
    let hold, release, respond;
    const held = new Promise((resolve) => (hold = resolve));
    const released = new Promise((resolve) => (release = resolve));
    const responded = new Promise((resolve) => (respond = resolve));
    await page.route("**/search", async (route) => {
      if (route.request().postDataJSON().text !== "umbrella") return route.continue();
      hold();
      const answer = await route.fetch();
      await released;
      // The page has usually aborted this request by now.
      await route.fulfill({ response: answer }).catch(() => {});
      respond();
    });
    await page.fill("#words", "umbrella");
    await held;
    await page.fill("#words", "fish at the harbour");
    await firstIs(page, "harbour");
    const now = await ids(page);
    release();
    await responded;
    // Two frames, in which the page would show the late response.
    await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
    assert.deepEqual(await ids(page), now);
    await leave(page);
  });

  it("works with the keyboard only", async () => {
    const page = await visit(browser, server.url);
    await page.keyboard.press("/");
    await page.keyboard.type("sacks of flour");
    await settled(page, "sacks of flour");
    await page.keyboard.press("ArrowDown");
    assert.equal(await page.evaluate(() => document.activeElement === document.querySelectorAll(".open")[0]), true);
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("ArrowDown");
    const columns = await page.evaluate(() => getComputedStyle(document.getElementById("grid")).gridTemplateColumns.split(" ").length);
    assert.equal(await page.evaluate(() => [...document.querySelectorAll(".open")].indexOf(document.activeElement)), columns + 1);
    await page.keyboard.press("Enter");
    await page.locator("#details[open]").waitFor();
    await page.keyboard.press("Escape");
    await page.locator("#details[open]").waitFor({ state: "detached" });
    await page.keyboard.press("ArrowUp");
    await page.keyboard.press("ArrowUp");
    assert.equal(await page.evaluate(() => document.activeElement.id), "words");
    await page.keyboard.press("Escape");
    await page.locator(".score").first().waitFor({ state: "detached" });
    assert.equal(await page.inputValue("#words"), "");
    await leave(page);
  });

  it("keeps the focus on a result when the results change", async () => {
    const page = await visit(browser, `${server.url}/?q=fish+at+the+harbour`);
    await page.locator('[data-id="harbour"] .open').focus();
    const asked = page.waitForResponse("**/search");
    await page.evaluate(() => {
      const words = document.getElementById("words");
      words.value = "fish is sold at the harbour";
      words.dispatchEvent(new Event("input"));
    });
    await asked;
    await settled(page, "fish is sold at the harbour");
    assert.equal(await page.evaluate(() => document.activeElement.closest(".card")?.dataset.id), "harbour");
    await leave(page);
  });

  it("matches only words in keyword mode, and explains an empty result", async () => {
    const page = await visit(browser, server.url);
    await page.getByText("Keyword", { exact: true }).click();
    await page.fill("#words", "harbour");
    await settled(page, "harbour");
    assert.deepEqual(await ids(page), ["harbour"]);
    assert.deepEqual(await page.locator(".bar span").evaluateAll((parts) => parts.map((part) => part.dataset.list)), ["keyword"]);
    await page.fill("#words", "zyzzyva");
    await page.locator("#nothing").waitFor();
    assert.match(await page.textContent("#nothing"), /Hybrid looks for their meaning/);
    await page.reload();
    await page.locator("#nothing").waitFor();
    assert.equal(await page.isChecked("input[value=keyword]"), true);
    await leave(page);
  });

  it("says that nothing matches, and shows the rest below a line on demand", async () => {
    const page = await visit(browser, `${server.url}/?q=qwxzkj+vbnhtg`);
    await page.locator("#nothing").waitFor();
    assert.equal(await page.textContent("#nothing"), "Nothing here matches.");
    assert.equal(await page.locator(".card").count(), 0);
    await screenshot(page, "nothing-matches");
    await page.getByRole("button", { name: "Show what comes closest" }).click();
    await page.locator(".divider").waitFor();
    assert.equal(await page.textContent(".divider"), "Less related");
    assert.ok(await page.locator(".card").count() > 0);
    assert.equal(await page.isVisible("#rest"), false);

    await page.fill("#words", "fish at the harbour");
    await firstIs(page, "harbour");
    assert.equal(await page.locator(".divider").count(), 0);
    const related = await ids(page);
    assert.ok(related.length < 30, "the rest is left out");
    assert.match(await page.locator(".card:first-child .sure").textContent(), /^\d+%$/);
    await page.getByRole("button", { name: "Show less related" }).click();
    await page.locator(".divider").waitFor();
    const all = await ids(page);
    assert.deepEqual(all.slice(0, related.length), related);
    assert.ok(all.length > related.length);
    assert.equal(new Set(all).size, all.length);
    await screenshot(page, "less-related");
    await leave(page);
  });

  it("finds images or texts only", async () => {
    const page = await visit(browser, `${server.url}/?q=umbrella`);
    await page.locator('.card[data-id="storm"]').waitFor();
    await page.locator('.card[data-id="umbrella"]').waitFor();
    await page.getByText("Images", { exact: true }).click();
    await page.locator('.card[data-id="storm"]').waitFor({ state: "detached" });
    await firstIs(page, "umbrella");
    assert.equal(new URL(page.url()).searchParams.get("kinds"), "images");
    await page.getByText("Texts", { exact: true }).click();
    await firstIs(page, "storm");
    assert.equal(await page.locator(".card.of-picture").count(), 0);
    await page.reload();
    await firstIs(page, "storm");
    assert.equal(await page.isChecked("input[value=texts]"), true);
    await leave(page);
  });

  it("says what the model cannot read", async () => {
    const page = await visit(browser, `${server.url}/?q=${encodeURIComponent("གདུགས")}`);
    await page.locator("#warnings li").waitFor();
    assert.match(await page.textContent("#warnings"), /Tibetan/);
    await page.fill("#words", "umbrella");
    await page.locator('.card[data-id="umbrella"]').waitFor();
    assert.equal(await page.isVisible("#warnings"), false);
    await leave(page);
  });

  it("finds a picture by words of other languages", async () => {
    for (const word of ["雨傘", "Regenschirm", "paraguas"]) {
      const page = await visit(browser, `${server.url}/?q=${encodeURIComponent(word)}&kinds=images`);
      await firstIs(page, "umbrella");
      assert.equal(await page.isVisible("#warnings"), false);
      await leave(page);
    }
  });

  it("appends further pages to the list", async () => {
    const page = await visit(browser, `${server.url}/?q=sacks+of+flour`);
    await page.locator(".score").first().waitFor();
    const first = await ids(page);
    await page.locator("#more").click();
    await page.waitForFunction(() => document.querySelectorAll(".card").length > 30);
    const all = await ids(page);
    assert.deepEqual(all.slice(0, 30), first);
    assert.equal(new Set(all).size, all.length);
    await page.goto(server.url);
    await page.locator(".card").first().waitFor();
    while (await page.locator("#more").isVisible()) {
      const shown = await page.locator(".card").count();
      await page.locator("#more").click();
      await page.waitForFunction((shown) => document.querySelectorAll(".card").length > shown || document.getElementById("more").hidden, shown);
    }
    assert.equal(new Set(await ids(page)).size, stored);
    await leave(page);
  });

  it("searches by a chosen image, with and without words", async () => {
    const page = await visit(browser, server.url);
    const [chooser] = await Promise.all([page.waitForEvent("filechooser"), page.locator("#by-picture").click()]);
    await chooser.setFiles(fixture("fish.png"));
    await firstIs(page, "fish");
    assert.equal(await page.getByAltText("Searching by fish.png").count(), 1);
    assert.equal(await count(), stored, "searching stores nothing");
    const asked = page.waitForRequest("**/search");
    await page.fill("#words", "in the sea");
    const body = (await asked).postDataJSON();
    assert.equal(body.query.length, 2);
    assert.equal(body.query[1].text, "in the sea");
    await page.waitForFunction(() => document.getElementById("status").textContent.includes("ms"));
    await screenshot(page, "by-picture");
    await page.getByRole("button", { name: "Searching by fish.png. Remove" }).click();
    await page.locator("#pinned").waitFor({ state: "hidden" });
    await leave(page);
  });

  it("searches by an image dropped on the search side", async () => {
    const page = await visit(browser, server.url);
    await page.locator(".card").first().waitFor();
    const { name, type, base64 } = await fileOf("umbrella.png");
    await drop(page, "[data-drop=search]", [{ name, type, base64 }]);
    await firstIs(page, "umbrella");
    assert.equal(await page.isVisible("#drop"), false);
    assert.equal(await count(), stored, "searching stores nothing");
    await leave(page);
  });

  it("searches by a pasted image, and refuses other files", async () => {
    const page = await visit(browser, server.url);
    await page.locator(".card").first().waitFor();
    const base64 = await base64Of("sun.png");
    await page.evaluate((base64) => {
      const clipboard = new DataTransfer();
      clipboard.items.add(new File([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))], "pasted.png", { type: "image/png" }));
      document.body.dispatchEvent(new ClipboardEvent("paste", { clipboardData: clipboard, bubbles: true, cancelable: true }));
    }, base64);
    await firstIs(page, "sun");
    await drop(page, "[data-drop=search]", [{ name: "notes.txt", type: "text/plain", base64: btoa("words") }]);
    await page.locator("#notice").waitFor();
    assert.match(await page.textContent("#notice"), /notes\.txt is not an image/);
    await drop(page, "[data-drop=search]", [{ name: "broken.png", type: "image/png", base64: btoa("no pixels in here") }]);
    await page.waitForFunction(() => !document.getElementById("notice").textContent.includes("notes.txt"));
    assert.ok((await page.textContent("#notice")).length > 20, "the server's reason is shown");
    await leave(page);
  });

  it("finds documents similar to an image and to a text", async () => {
    const page = await visit(browser, `${server.url}/?q=fish+at+the+harbour`);
    await firstIs(page, "harbour");
    let asked = page.waitForRequest("**/search");
    await page.locator('[data-id="harbour"] .like').click();
    let body = (await asked).postDataJSON();
    assert.equal(body.text, TEXTS.harbour);
    await page.locator("#pinned .slip").waitFor();
    await page.waitForFunction(() => !document.querySelector('[data-id="harbour"]'));

    await page.goto(`${server.url}/?q=A+blue+fish`);
    await page.locator('.score >> nth=0').waitFor();
    asked = page.waitForRequest("**/search");
    await page.locator('[data-id="fish"] .like').click();
    body = (await asked).postDataJSON();
    assert.deepEqual(body.image, { id: "fish" });
    await page.waitForFunction(() => document.querySelector(".score") && !document.querySelector('[data-id="fish"]'));
    await screenshot(page, "more-like-this");
    const here = await ids(page);
    await page.reload();
    await page.locator(".score").first().waitFor();
    assert.deepEqual(await ids(page), here, "the address reproduces the search");
    await page.goBack();
    await page.waitForFunction(() => document.getElementById("words").value === "A blue fish");
    await leave(page);
  });

  it("shows markup in a document as text", async () => {
    const page = await visit(browser, `${server.url}/?mode=keyword&q=onerror`);
    await firstIs(page, "markup");
    assert.equal(await page.textContent('[data-id="markup"] .passage'), TEXTS.markup);
    await page.locator('[data-id="markup"] .open').click();
    assert.equal(await page.textContent(".full-text"), TEXTS.markup);
    assert.equal(await page.locator("img[src=x], .full-text b").count(), 0);
    assert.doesNotMatch(await page.title(), /broken in/);
    await leave(page);
  });

  it("switches between collections", async () => {
    assert.equal((await server.ask("PUT", "/collections/second", {})).status, 201);
    await server.ask("POST", "/collections/second/documents", { id: "only", text: "The only text of the second collection." });
    const page = await visit(browser, server.url);
    await page.locator("#collection-choice").selectOption("second");
    await firstIs(page, "only");
    assert.deepEqual(await ids(page), ["only"]);
    assert.equal(await page.textContent("#collection-size"), "1 document");
    await page.reload();
    await firstIs(page, "only");
    assert.equal((await server.ask("DELETE", "/collections/second")).status, 204);
    await leave(page);
  });
});
