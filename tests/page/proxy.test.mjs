// The page behind a reverse proxy that serves it under a path, like nginx and Caddy: a proxy that
// strips the path, and one that forwards it to a server with `--base-path`.

import assert from "node:assert/strict";
import { createServer, request as send } from "node:http";
import { fixture, launch, leave, visit } from "./browser.mjs";
import { Server } from "./server.mjs";
import { after, before, describe, it } from "./suite.mjs";

const PATH = "/find/it";

/** A proxy on a free port; like nginx by default, it sends the server's own host. */
function proxyTo(port, { strip }) {
  const proxy = createServer((incoming, outgoing) => {
    if (!incoming.url.startsWith(`${PATH}/`)) {
      outgoing.writeHead(404).end("outside the path");
      return;
    }
    const path = strip ? incoming.url.slice(PATH.length) : incoming.url;
    const headers = { ...incoming.headers, host: `127.0.0.1:${port}` };
    const onward = send({ host: "127.0.0.1", port, path, method: incoming.method, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode, answer.headers);
      answer.pipe(outgoing);
    });
    onward.on("error", () => outgoing.destroy());
    incoming.pipe(onward);
  });
  return new Promise((resolve) => proxy.listen(0, "127.0.0.1", () => resolve(proxy)));
}

for (const [what, settings, strip] of [
  ["a proxy that strips the path", [], true],
  ["a proxy that forwards the path", ["--base-path", PATH], false],
]) {
  describe(what, () => {
    let server, browser, proxy, base;
    before(async () => {
      browser = await launch();
      server = await Server.start(...settings);
      proxy = await proxyTo(server.port, { strip });
      base = `http://127.0.0.1:${proxy.address().port}${PATH}/`;
    });
    after(async () => {
      proxy?.close();
      proxy?.closeAllConnections();
      await browser?.close();
      await server?.remove();
    });

    const strays = (page) => {
      const found = [];
      page.on("request", (request) => {
        const { protocol, pathname } = new URL(request.url());
        if (protocol === "http:" && !pathname.startsWith(`${PATH}/`)) found.push(request.url());
      });
      return found;
    };

    it("adds, lists, finds and opens documents, with requests only under the path", async () => {
      const page = await visit(browser, base);
      const outside = strays(page);
      await page.locator("#empty").waitFor();
      assert.match(await page.textContent("#empty-curl"), new RegExp(`curl ${base}documents`));
      const [chooser] = await Promise.all([page.waitForEvent("filechooser"), page.locator("#empty-add").click()]);
      await chooser.setFiles([fixture("umbrella.png"), fixture("tree.png")]);
      await page.locator(".card img.loaded").first().waitFor();
      await page.fill("#words", "umbrella");
      await page.locator(".score").first().waitFor();
      await page.locator(".card img.loaded").first().waitFor();
      await page.waitForFunction(() => new URLSearchParams(location.search).get("q") === "umbrella");
      assert.ok(page.url().startsWith(base), page.url());
      await page.locator(".card.of-picture .open").first().click();
      await page.locator("dialog.details[open] img.loaded").waitFor();
      const original = await page.getByRole("link", { name: "Original" }).getAttribute("href");
      const answer = await fetch(new URL(original, page.url()));
      assert.equal(answer.headers.get("content-type"), "image/png");
      assert.ok(new URL(original, page.url()).pathname.startsWith(`${PATH}/`), original);
      await page.reload();
      await page.locator(".score").first().waitFor();
      assert.deepEqual(outside, []);
      await leave(page);
    });

    it("leads to the API's pages and back", async () => {
      const page = await visit(browser, base);
      const outside = strays(page);
      await page.getByRole("link", { name: "API" }).click();
      await page.locator(".entry").first().waitFor();
      assert.equal(page.url(), `${base}docs`);
      const book = await page.getAttribute('a[href$="openapi.json"]', "href");
      assert.equal((await fetch(new URL(book, page.url()))).status, 200);
      await page.locator("#get-collections").evaluate((entry) => (entry.open = true));
      await page.locator("#get-collections form.trial button").click();
      await page.locator("#get-collections .output", { hasText: "200" }).waitFor();
      await page.getByRole("link", { name: "Search", exact: true }).click();
      await page.locator("#ask").waitFor();
      assert.ok(page.url().startsWith(base), page.url());
      assert.deepEqual(outside, []);
      await leave(page);
    });
  });
}
