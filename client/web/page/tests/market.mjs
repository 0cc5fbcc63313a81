// A market of real processes for one test file, and the page that looks at it.

import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export const root = process.env.ENCOMPUTE_ROOT ?? resolve(fileURLToPath(new URL("../../../..", import.meta.url)));
const programs = process.env.ENCOMPUTE_PROGRAMS ?? join(root, "target/debug");

/** Starts a program of ours; gives what it says when it is ready. It ends with this process's end of its stdin. */
async function start(what, args) {
  const child = spawn(join(programs, "encompute"), [...args, "--stop-with-stdin", "--json"], {
    cwd: root,
    stdio: ["pipe", "pipe", "pipe"],
  });
  let log = "";
  child.stderr.on("data", (text) => (log += text));
  const ended = new Promise((end) => child.on("close", end));
  const ready = await new Promise((answer, fail) => {
    createInterface({ input: child.stdout }).on("line", (line) => {
      const said = JSON.parse(line);
      if (said.ready) answer(said);
    });
    void ended.then((code) => fail(new Error(`${what} ended with ${code}: ${log}`)));
  });
  const stop = async () => {
    child.stdin.end();
    await ended;
  };
  return { ready, stop };
}

/** Chain, gateway, attestation, worker, creator and models; and `encompute web` before them. */
export async function startMarket() {
  const home = mkdtempSync(join(tmpdir(), "encompute-page-"));
  const market = await start("the market", ["dev", "up", "--home", home, "--listen", "127.0.0.1:0", "--block-time", "1"]);
  const web = await start("the page", [
    "web", "--home", home, "--network", "local", "--listen", "127.0.0.1:0",
    "--files", process.env.ENCOMPUTE_PAGE ?? join(root, "target/web/dist"),
  ]);
  return {
    home,
    url: web.ready.listen,
    rpc: market.ready.rpc,
    services: market.ready.services,
    /** Sends one of its services a signal. */
    signal: (name, signal) => process.kill(market.ready.services.find((service) => service.name === name).pid, signal),
    /** Has the chain seal so many empty blocks at once. */
    seal: (blocks) => fetch(market.ready.rpc.replace(/^ws/, "http"), {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "encompute_sealBlocks", params: [blocks] }),
    }).then((answer) => answer.json()),
    /** What a command of the command line prints, about this market. */
    encompute: (args) => execFileSync(join(programs, "encompute"), [...args, "--home", home], { cwd: root, encoding: "utf8" }),
    stop: async () => {
      await web.stop();
      await market.stop();
      rmSync(home, { recursive: true, force: true });
    },
  };
}
