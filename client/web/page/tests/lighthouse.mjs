// Lighthouse's score for the accessibility of every page, on a phone and on a desk: `xtask web lighthouse` runs this.
// No test of the suite: it brings two hundred packages, and axe, whose rules it weighs, is in the suite.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { root, startMarket } from "./market.mjs";

/** Every page has at least this much of a hundred. */
const wanted = 95;
/** What is not there at once comes over a socket, whose quiet Lighthouse does not wait for. */
const pauseAfterLoadMs = 5_000;

const packages = join(process.env.ENCOMPUTE_LIGHTHOUSE, "node_modules/lighthouse/core/index.js");
const { default: lighthouse, desktopConfig } = await import(pathToFileURL(packages).href);

async function startChromium() {
  const folder = mkdtempSync(join(tmpdir(), "encompute-lighthouse-"));
  const program = process.env.ENCOMPUTE_CHROMIUM ?? "/usr/bin/chromium";
  // Tests run as root in containers; what they open is ours.
  const args = ["--headless=new", "--no-sandbox", "--remote-debugging-port=0", `--user-data-dir=${folder}`];
  const child = spawn(program, args, { stdio: ["ignore", "ignore", "pipe"] });
  const port = await new Promise((answer, fail) => {
    let said = "";
    child.stderr.on("data", (text) => {
      said += text;
      const found = /DevTools listening on ws:\/\/127\.0\.0\.1:(\d+)\//.exec(said);
      if (found) answer(Number(found[1]));
    });
    child.on("close", () => fail(new Error(`Chromium ended: ${said}`)));
  });
  const stop = () => new Promise((done) => {
    child.removeAllListeners("close").on("close", () => done(rmSync(folder, { recursive: true, force: true })));
    child.kill();
  });
  return { port, stop };
}

const market = await startMarket();
const job = ["job", "submit", "--network", "local", "--model", "digits", "--suri", "//Dave", "--json"];
market.encompute([...job, "--input", join(root, "tests/fixtures/digits/grey-28x28-7.png")]);
const { creator } = JSON.parse(market.encompute(["model", "show", "digits", "--network", "local", "--json"]));
const pages = ["", "model/1", "jobs", "job/1", "audit/1", "workers", "events", "account", `party/${creator}`];
const chromium = await startChromium();
const low = [];
for (const page of pages) {
  for (const [device, config] of [["phone", undefined], ["desk", desktopConfig]]) {
    const flags = { port: chromium.port, onlyCategories: ["accessibility"], logLevel: "error", pauseAfterLoadMs };
    const { lhr } = await lighthouse(`${market.url}/#/${page}`, flags, config);
    const score = Math.round(lhr.categories.accessibility.score * 100);
    const failed = Object.values(lhr.audits).filter((audit) => audit.score === 0).map((audit) => audit.id);
    console.log(`${String(score).padStart(3)}  ${device.padEnd(5)}  #/${page}  ${failed.join(", ")}`);
    if (score < wanted) low.push(page);
  }
}
await chromium.stop();
await market.stop();
if (low.length > 0) {
  console.error(`below ${wanted}: ${[...new Set(low)].map((page) => `#/${page}`).join(", ")}`);
  process.exit(1);
}
