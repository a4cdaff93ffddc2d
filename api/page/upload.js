// Adds files to a collection and shows how far it is. The bar's solid part is what the server has
// stored and made searchable; the pale part ahead of it is what has been sent.

import { addDocuments, Problem, Unreachable } from "./api.js";
import { batches, documentsIn, halves } from "./batches.js";
import { counted, element } from "./element.js";

/** Two requests under way keep the server's model busy while the next one is being sent. */
const AT_ONCE = 2;
const SHOWN_FAILURES = 200;

/** `added(collection)` is called after each upload that stored something. */
export class Upload {
  #tray = document.getElementById("tray");
  #added;
  #waiting = [];
  #running = null;
  #stop = null;

  constructor(added) {
    this.#added = added;
  }

  /** Starts, or joins what is running already. */
  add(collection, files) {
    if (files.length === 0) return;
    this.#waiting.push({ collection, files: [...files] });
    this.#running ??= this.#run().finally(() => (this.#running = null));
  }

  async #run() {
    while (this.#waiting.length) {
      const { collection, files } = this.#waiting.shift();
      this.#stop = new AbortController();
      const progress = new Progress(this.#tray, collection, this.#stop);
      try {
        progress.expect(await documentsIn(files));
        const source = batches(files);
        await Promise.all(Array.from({ length: AT_ONCE }, () => this.#work(source, collection, progress)));
      } catch (error) {
        if (!(error instanceof DOMException)) throw error;
        // The file was moved or changed since it was chosen.
        progress.fail("A file could not be read:", error.message);
      }
      progress.finish(this.#stop.signal.aborted);
      if (progress.stored > 0) this.#added(collection);
    }
  }

  async #work(source, collection, progress) {
    while (!this.#stop.signal.aborted) {
      const { value: batch, done } = await source.next();
      if (done) return;
      if (batch.refused) progress.fail(batch.refused, batch.why);
      else await this.#send(batch, collection, progress);
    }
  }

  async #send(batch, collection, progress) {
    const { signal } = this.#stop;
    const flight = progress.depart(batch.items.length);
    try {
      const { results } = await addDocuments(collection, batch.body(), { sent: flight.sent, signal });
      flight.land();
      results.forEach((result, at) => {
        if (result.status === "failed") progress.fail(batch.items[at]?.name ?? result.id, reason(result.error));
        else progress.store(result.status);
      });
    } catch (error) {
      flight.land();
      if (error.name === "AbortError") return;
      const parts = error instanceof Problem && error.status === 413 ? halves(batch) : null;
      if (parts) {
        for (const part of parts) await this.#send(part, collection, progress);
        return;
      }
      if (!(error instanceof Problem || error instanceof Unreachable)) throw error;
      for (const { name } of batch.items) progress.fail(name, error.message);
      // Nothing that follows would arrive either.
      if (error instanceof Unreachable || error.status === 401) this.#stop.abort();
    }
  }
}

const reason = (error) => error?.detail ?? error?.title ?? "The server gave no reason.";

/** One upload's figures, and the tray that shows them. */
class Progress {
  stored = 0;
  #updated = 0;
  #failures = 0;
  #total = 0;
  #flights = new Set();
  #parts;

  constructor(tray, collection, stop) {
    const parts = {
      title: element("strong", { role: "status" }, `Adding to ${collection}`),
      share: element("span.share"),
      solid: element("span.stored"),
      pale: element("span.sent"),
      figures: element("p.figures", {}, "Reading…"),
      button: element("button.plain", { type: "button", onclick: () => stop.abort() }, "Stop"),
      list: element("ul"),
      failed: element("summary", {}, ""),
    };
    parts.bar = element("div.progress", {
      role: "progressbar", "aria-label": `Adding to ${collection}`, "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": 0,
    }, parts.pale, parts.solid);
    parts.failures = element("details.failures", { hidden: true, open: true }, parts.failed, parts.list);
    tray.replaceChildren(
      element("div.tray-head", {}, parts.title, parts.share),
      parts.bar,
      element("div.tray-foot", {}, parts.figures, parts.button),
      parts.failures);
    tray.hidden = false;
    tray.dataset.state = "running";
    this.#parts = { ...parts, tray };
  }

  expect(documents) {
    this.#total = documents;
    this.#show();
  }

  /** A request of `documents` is on its way. */
  depart(documents) {
    const flight = { documents, share: 0 };
    this.#flights.add(flight);
    return {
      sent: (share) => {
        flight.share = share;
        this.#show();
      },
      land: () => this.#flights.delete(flight),
    };
  }

  store(status) {
    this.stored += 1;
    if (status === "updated") this.#updated += 1;
    this.#show();
  }

  fail(name, why) {
    this.#failures += 1;
    if (this.#failures <= SHOWN_FAILURES) {
      this.#parts.list.append(element("li", {}, element("b", {}, name), " ", why));
    }
    this.#parts.failures.hidden = false;
    this.#parts.failed.textContent = this.#failures > SHOWN_FAILURES
      ? `${counted(this.#failures, "failure")}, the first ${SHOWN_FAILURES} of them:`
      : counted(this.#failures, "failure");
    this.#show();
  }

  finish(stopped) {
    const { tray, title, button, share, bar } = this.#parts;
    title.textContent = stopped ? "Stopped" : this.#failures ? "Done, with failures" : "Done";
    tray.dataset.state = stopped || this.#failures ? "partly" : "done";
    bar.setAttribute("aria-label", title.textContent);
    share.hidden = stopped;
    const close = element("button.plain", { type: "button", onclick: () => (tray.hidden = true) }, "Close");
    button.replaceWith(close);
  }

  #show() {
    const { bar, solid, pale, share, figures } = this.#parts;
    const answered = this.stored + this.#failures;
    const ofAll = (documents) => (this.#total === 0 ? 0 : Math.min(100, (100 * documents) / this.#total));
    const flying = [...this.#flights].reduce((sum, flight) => sum + flight.documents * flight.share, 0);
    const percent = Math.floor(ofAll(answered));
    solid.style.width = `${ofAll(answered)}%`;
    pale.style.width = `${ofAll(answered + flying)}%`;
    bar.setAttribute("aria-valuenow", percent);
    share.textContent = `${percent} %`;
    const added = this.stored - this.#updated;
    figures.textContent = [
      `${added.toLocaleString("en")} of ${this.#total.toLocaleString("en")} added`,
      this.#updated ? `${this.#updated.toLocaleString("en")} replaced` : null,
      this.#failures ? `${this.#failures.toLocaleString("en")} failed` : null,
    ].filter(Boolean).join(", ");
  }
}
