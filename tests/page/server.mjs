// The real clipdb on a free port over a data folder of its own.
//
// CLIPDB_BINARY names the binary (default: the workspace's release build).

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";

const ROOT = path.resolve(import.meta.dirname, "../..");
const BINARY = path.resolve(process.env.CLIPDB_BINARY ?? path.join(ROOT, "target/release/clipdb"));
const READY_MS = 120_000;
const STOP_MS = 30_000;

export class Server {
  #folder;
  #process = null;
  #output = "";

  /** Starts on a new folder; `settings` are further flags of `clipdb serve`. */
  static async start(...settings) {
    if (!existsSync(BINARY)) throw new Error(`${BINARY} does not exist: build clipdb first, or set CLIPDB_BINARY`);
    const server = new Server();
    server.#folder = await mkdtemp(path.join(tmpdir(), "clipdb-page-"));
    server.settings = settings;
    server.port = await freePort();
    server.url = `http://127.0.0.1:${server.port}`;
    await server.start();
    return server;
  }

  /** Starts again on the same port and folder. */
  async start() {
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("CLIPDB_")));
    const data = path.join(this.#folder, "data");
    this.#process = spawn(BINARY, ["serve", "--data", data, "--listen", `127.0.0.1:${this.port}`, "--device", "cpu", ...this.settings], { cwd: ROOT, env });
    for (const stream of [this.#process.stdout, this.#process.stderr]) stream.on("data", (some) => (this.#output += some));
    const deadline = Date.now() + READY_MS;
    while (!(await this.#ready())) {
      if (this.#process.exitCode !== null || Date.now() > deadline) throw new Error(`clipdb did not become ready:\n${this.#output}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  async #ready() {
    try {
      return (await fetch(`${this.url}/ready`)).ok;
    } catch {
      return false;
    }
  }

  async stop() {
    const running = this.#process;
    if (running === null) return;
    this.#process = null;
    if (running.exitCode !== null) throw new Error(`clipdb had exited (exit code ${running.exitCode}):\n${this.#output}`);
    const ended = new Promise((resolve) => running.once("exit", resolve));
    running.kill("SIGTERM");
    const force = setTimeout(() => running.kill("SIGKILL"), STOP_MS);
    await ended;
    clearTimeout(force);
  }

  async remove() {
    try {
      await this.stop();
    } finally {
      await rm(this.#folder, { recursive: true, force: true });
    }
  }

  /** Sends a request; returns the status, the headers and the body as JSON. */
  async ask(method, route, body, headers = {}) {
    const response = await fetch(this.url + route, {
      method,
      headers: { "Content-Type": "application/json", ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, json: text === "" ? null : JSON.parse(text) };
  }
}

function freePort() {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}
