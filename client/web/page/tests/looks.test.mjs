// What a user sees of a job besides its answer: what could be rebuilt before anything is sent, what is left of old jobs,
// what another browser can do; in a real browser, against a market of real processes.

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { root } from "./market.mjs";
import { accessible, answered, begin, buy, end, enter, market, open, opened, passphrase, patience, send, seven, shoot, visitor } from "./visit.mjs";

before(begin);
after(end);

const three = join(root, "tests/fixtures/digits/grey-28x28-3.png");
const patch = join(root, "tests/fixtures/brain-regions/patch-32x32-cerebellum.png");
const network = ["--network", "local", "--json"];

/** What the chain says of a job. */
const job = (id) => JSON.parse(market.encompute(["job", "list", ...network])).jobs.find((job) => job.id === id);
const idOf = async (page) => Number(/job (\d+)$/.exec(await page.getByRole("heading", { level: 1 }).textContent())[1]);
const asked = (page) => page.getByRole("heading", { name: /Look before you send/ }).waitFor();

/** The grey values of a picture on the page. */
function grey(page, label) {
  return page.getByRole("img", { name: label }).evaluate((canvas) => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return [...data].filter((_, at) => at % 4 === 0);
  });
}

const apart = (one, other) => Math.sqrt(one.reduce((sum, value, at) => sum + (value - other[at]) ** 2, 0) / one.length);

describe("what a user sees of a job", { timeout: 20 * patience }, () => {
  test("shows the user's own picture beside what could be rebuilt of it, and sends nothing without a yes", async () => {
    const { page, complaints, context } = await visitor();
    const tensor = [...(await buy(page, "digits", seven))];
    await asked(page);
    assert.deepEqual(await grey(page, "What was encrypted"), tensor);
    const rebuilt = await grey(page, "What could be rebuilt");
    assert.equal(rebuilt.length, tensor.length);
    // A guess at this digit, neither the digit nor the mean of all.
    assert.ok(new Set(rebuilt).size > 20);
    const off = apart(tensor, rebuilt);
    await page.getByText(`It is off by ${off.toFixed(0)} of 255`).waitFor();
    const id = await idOf(page);
    assert.equal(job(id).stage, "head-committed", "nothing is sent while it is asked");
    const there = page.url();
    await page.evaluate(() => (location.hash = "#/workers"));
    await page.getByRole("link", { name: `Your job ${id} waits` }).click();
    assert.equal(page.url(), there);
    await asked(page);
    await shoot(page, "look");
    await accessible(page);
    await page.getByRole("button", { name: "Send nothing" }).click();
    await page.getByRole("heading", { name: "Nothing was sent" }).waitFor();
    await page.getByText(/stop it, and [\d.]+ UNIT of [\d.]+ UNIT come back/i).waitFor();
    assert.equal(job(id).stage, "head-committed");
    await shoot(page, "look-declined");
    await accessible(page);
    // Thinks again, sees the same, and stops for good.
    await page.getByRole("button", { name: "Look again" }).click();
    await asked(page);
    assert.deepEqual(await grey(page, "What could be rebuilt"), rebuilt, "looking twice tells nothing new");
    await page.getByRole("button", { name: "Send nothing" }).click();
    await page.getByRole("button", { name: "Stop the job" }).click();
    await page.getByText("the user ended it").waitFor();
    assert.equal(job(id).stage, "cancelled");
    assert.deepEqual(complaints, []);
    await context.close();
  });

  test("asks again after a reload, and takes the file again to show it beside, and no other", async () => {
    const { page, complaints, context } = await visitor();
    const tensor = [...(await buy(page, "digits", seven))];
    await asked(page);
    await page.reload();
    await page.getByRole("heading", { name: "Go on with your job" }).waitFor();
    await enter(page);
    await asked(page);
    const again = page.getByLabel(/keeps no copy of your file/);
    await again.setInputFiles(three);
    await page.getByRole("alert").getByText(/another file than the one/).waitFor();
    await accessible(page);
    await again.setInputFiles(seven);
    await page.getByRole("img", { name: "What was encrypted" }).waitFor();
    assert.deepEqual(await grey(page, "What was encrypted"), tensor);
    await page.getByText(/It is off by \d+ of 255/).waitFor();
    await send(page);
    assert.equal(await answered(page), "7");
    // The creator's view keeps it beside the numbers that were sent.
    await page.getByRole("img", { name: "What could be rebuilt of them" }).waitFor();
    assert.deepEqual(complaints, []);
    await context.close();
  });

  test("shows a dispute on the rail, who must act and how it ended, and goes on", async () => {
    const { page, complaints, context } = await visitor();
    await buy(page, "digits", seven);
    await asked(page);
    const [id, mine] = [await idOf(page), page.url()];
    market.signal("worker", "SIGSTOP");
    market.encompute(["job", "dispute", String(id), "--kind", "missing", "--suri", "//Dave", ...network]);
    await page.evaluate((id) => (location.hash = `#/job/${id}`), id);
    const now = page.locator(".rail [aria-current=step]");
    await now.filter({ hasText: "Disputed: something is missing" }).waitFor();
    await now.getByText(/Next: whoever committed it posts it on chain, by block \d+/).waitFor();
    await shoot(page, "job-disputed");
    await accessible(page);
    market.signal("worker", "SIGCONT");
    await now.filter({ hasText: "Receipt on chain" }).waitFor();
    await page.getByText("the dispute was without ground").first().waitFor();
    await page.goto(mine);
    await send(page);
    assert.equal(await answered(page), "7");
    assert.deepEqual(complaints, []);
    await context.close();
  });

  test("shows each part of what is uploaded, and has nothing paid before all of it is there", async () => {
    const { page, context } = await visitor();
    const jobs = () => JSON.parse(market.encompute(["audit", "ledger", ...network])).jobs;
    const before = jobs();
    let parts = 0;
    await context.route("**/v1/blobs/*", (route) => {
      if (route.request().method() === "PUT" && ++parts > 4) return;
      void route.continue();
    });
    await page.goto(market.url);
    await page.getByRole("link", { name: "brain-regions", exact: true }).click();
    await page.getByRole("radio", { name: "features-16-inside, balanced" }).check();
    await page.locator("input[type=file]").first().setInputFiles(patch);
    await page.getByText("Exactly this will be encrypted").waitFor();
    await opened(page, enter);
    await page.getByRole("button", { name: /Encrypt and pay/ }).click();
    const bar = page.getByRole("progressbar", { name: /^Part 4 of \d+$/ });
    await bar.waitFor();
    await page.getByText("Uploading the encrypted request…").waitFor();
    assert.ok(Number(await bar.getAttribute("max")) > 10, "an evaluation key has many parts");
    await shoot(page, "uploading");
    await accessible(page);
    await context.close();
    assert.equal(jobs(), before);
  });

  test("shows a row's values beside the guesses, and does not ask who does not want to be asked", async () => {
    const { page, complaints, context } = await visitor();
    const row = join(root, "tests/fixtures/breast-cancer/patient-malignant.csv");
    await buy(page, "breast-cancer", row);
    await asked(page);
    const table = page.getByRole("region", { name: "Your values and the creator's guesses" });
    await table.getByRole("row").nth(1).waitFor();
    const cells = await table.getByRole("row").nth(1).getByRole("cell").allTextContents();
    assert.ok(cells.every((cell) => Number.isFinite(Number(cell))), cells.join(", "));
    await shoot(page, "look-table");
    await accessible(page);
    await send(page);
    assert.equal(await answered(page), "malignant");
    await page.goto(`${market.url}/#/account`);
    await page.getByLabel(/Show me what the creator could rebuild/).uncheck();
    await page.reload();
    assert.equal(await page.getByLabel(/Show me what the creator could rebuild/).isChecked(), false);
    await buy(page, "breast-cancer", row);
    assert.equal(await answered(page), "malignant");
    assert.deepEqual(complaints, []);
    await context.close();
  });

  test("says of a model without a published attack that there is no preview, and shows its report's pictures", async () => {
    const { page, complaints, context } = await visitor();
    const publish = ["model", "publish", "scripts/models/digits", "--creator-url", "http://127.0.0.1:9", "--suri", "//Charlie"];
    market.encompute([...publish, "--vault", join(market.home, "shy"), ...network]);
    const { version } = JSON.parse(market.encompute(["model", "show", "digits", ...network]));
    await page.goto(`${market.url}/#/model/${version}`);
    await page.getByText("No preview of your own file.").waitFor();
    await page.waitForFunction(() => [...document.querySelectorAll(".card .strip canvas")].some(({ width }) => width > 100 && width !== 300));
    await shoot(page, "model-no-attack");
    await accessible(page);
    market.encompute(["model", "deprecate", String(version), "--suri", "//Charlie", ...network]);
    assert.deepEqual(complaints, []);
    await context.close();
  });

  test("chooses by a slider, and says who must act for how long", async () => {
    const { page, complaints, context } = await visitor();
    await page.goto(market.url);
    await page.getByRole("link", { name: "brain-regions", exact: true }).click();
    const slider = page.getByRole("slider", { name: "From telling least to telling most" });
    const told = async () => Number(/at most ([\d.]+) bits/.exec(await slider.getAttribute("aria-valuetext"))[1]);
    const seen = [];
    for (let rung = 0; rung <= Number(await slider.getAttribute("max")); rung++) {
      await slider.fill(String(rung));
      await page.waitForFunction(() => document.querySelectorAll("tr.chosen input:checked").length === 1);
      seen.push(await told());
    }
    assert.ok(seen.length >= 4 && seen.every((bits, at) => at === 0 || bits >= seen[at - 1]), seen.join(", "));
    await page.getByText("Who must act, and how long each has at most").click();
    await page.getByText(/a worker to claim it/).waitFor();
    await page.getByText(/^\d+ blocks, about \d+ (s|min|h)$/).first().waitFor();
    await accessible(page);
    assert.deepEqual(complaints, []);
    await context.close();
  });

  test("takes a row to an answer by keyboard alone", async () => {
    const { page, complaints, context } = await visitor();
    await page.goto(market.url);
    await page.getByRole("heading", { name: "breast-cancer" }).waitFor();
    /** Goes on by Tab until an element has the focus. */
    const to = async (wanted) => {
      await wanted.waitFor();
      for (let presses = 0; presses < 150; presses++) {
        if (await wanted.evaluate((element) => element === document.activeElement)) return;
        await page.keyboard.press("Tab");
      }
      assert.fail(`no number of Tabs leads to ${wanted}`);
    };
    await to(page.getByRole("link", { name: "breast-cancer", exact: true }));
    await page.keyboard.press("Enter");
    const picker = page.locator("input[type=file]").first();
    // What arrives from the chain may draw the form anew under a first press: a person presses again.
    const opened = async () => {
      await to(picker);
      const chooser = page.waitForEvent("filechooser", { timeout: 3000 }).catch(() => undefined);
      await page.keyboard.press("Enter");
      return chooser;
    };
    const chooser = (await opened()) ?? (await opened()) ?? (await opened());
    assert.ok(chooser, "no key opens the choice of files");
    await chooser.setFiles(join(root, "tests/fixtures/breast-cancer/patient-benign.csv"));
    await page.getByText("Exactly this will be encrypted").waitFor();
    await to(page.getByRole("button", { name: "Use this account" }));
    await page.keyboard.press("Enter");
    await page.getByText(/Signs as/).waitFor();
    await to(page.getByLabel(/passphrase/i));
    await page.keyboard.type(passphrase);
    await page.keyboard.press("Enter");
    await page.getByText("Your keys are open in this tab").waitFor();
    await to(page.getByRole("button", { name: /Encrypt and pay/ }));
    await page.keyboard.press("Enter");
    await asked(page);
    await to(page.getByRole("button", { name: "Send these numbers to the creator" }));
    await page.keyboard.press("Enter");
    assert.equal(await answered(page), "benign");
    assert.deepEqual(complaints, []);
    await context.close();
  });

  test("lets who paid rate the model, once", async () => {
    const { page, complaints, context } = await visitor({ unasked: true });
    await buy(page, "digits", seven);
    await answered(page);
    await page.getByText("Rate this model").click();
    await page.getByLabel("Grade").selectOption("4");
    await page.getByRole("combobox", { name: "For", exact: true }).selectOption("time");
    await page.getByRole("button", { name: "Say so on chain" }).click();
    await page.getByText("Rated 4 of 5").waitFor();
    await accessible(page);
    await page.goto(market.url);
    await page.reload();
    await page.locator(".card", { hasText: "handwritten" }).getByText(/^4\.0 of 5/).waitFor();
    assert.deepEqual(complaints, []);
    await context.close();
  });

  test("shows the answers that a browser keeps while its network is away", async () => {
    const { page, context } = await visitor({ unasked: true });
    await buy(page, "digits", seven);
    assert.equal(await answered(page), "7");
    await page.getByText("Done.").waitFor();
    await context.route("**/network.toml", async (route) => {
      const answer = await route.fetch();
      await route.fulfill({ body: (await answer.text()).replace(/^rpc = .*$/m, 'rpc = "ws://127.0.0.1:9"') });
    });
    await page.reload();
    await page.getByRole("heading", { name: "This page cannot reach its network" }).waitFor();
    await open(page);
    await page.getByText(/^digits, job \d+$/).click();
    assert.equal(await answered(page), "7");
    await page.getByText("What it does not say.").waitFor();
    await shoot(page, "away");
    await accessible(page);
    await context.close();
  });

  test("tells another browser what it can and cannot do about a job", async () => {
    const { page, complaints, context } = await visitor();
    await page.goto(`${market.url}/#/job/1`);
    await page.getByText("Is this your job?").click();
    await page.getByText("This browser keeps no jobs for this network.").waitFor();
    await page.getByText(/Its keys never leave that browser/).waitFor();
    await shoot(page, "job-elsewhere");
    await accessible(page);
    await page.goto(`${market.url}/#/mine/${"ab".repeat(32)}`);
    await enter(page);
    await page.getByRole("heading", { name: "This browser has no such job" }).waitFor();
    assert.deepEqual(complaints, []);
    await context.close();
  });

  test("goes back through all jobs of the market and of an account", async () => {
    const before = JSON.parse(market.encompute(["audit", "ledger", ...network])).jobs;
    for (let left = 27 - before; left > 0; left--) {
      market.encompute(["job", "submit", "--model", "breast-cancer", "--input", "tests/fixtures/breast-cancer/patient-benign.csv", "--suri", "//Ferdie", ...network]);
    }
    const { page, complaints, context } = await visitor();
    await page.goto(`${market.url}/#/jobs`);
    const older = page.getByRole("button", { name: "Older jobs" });
    await older.waitFor();
    assert.equal(await page.getByRole("link", { name: "1", exact: true }).count(), 0);
    await older.click();
    await page.getByRole("link", { name: "1", exact: true }).waitFor();
    await older.waitFor({ state: "detached" });
    const { creator } = JSON.parse(market.encompute(["model", "show", "digits", ...network]));
    await page.goto(`${market.url}/#/party/${creator}`);
    await page.getByText(/^\d+ since job \d+\./).waitFor();
    await page.getByText("on sale").first().waitFor();
    await page.getByRole("button", { name: "Look through older jobs" }).click();
    await page.getByText(/^\d+ since job 1\./).waitFor();
    await page.getByRole("link", { name: "1", exact: true }).waitFor();
    await shoot(page, "creator");
    await accessible(page);
    assert.deepEqual(complaints, []);
    await context.close();
  });

  test("says that a job was pruned, what is kept of it, and audits it all the same", async () => {
    const prune = ["job", "prune", "1", "--suri", "//Ferdie"];
    const { from_block: from } = JSON.parse(market.encompute([...prune, "--dry-run", ...network]));
    for (let sealed = (await market.seal(1)).result; sealed < from;) sealed = (await market.seal(Math.min(1000, from - sealed))).result;
    const { digest, pruned_at: at } = JSON.parse(market.encompute([...prune, ...network]));
    const { page, complaints, context } = await visitor();
    await page.goto(`${market.url}/#/job/1`);
    await page.getByRole("heading", { name: /Pruned/ }).waitFor();
    await page.getByText(new RegExp(`in block ${at} `)).waitFor();
    await page.getByText(digest).waitFor();
    await page.getByText("which this page's node still has").waitFor();
    await shoot(page, "job-pruned");
    await accessible(page);
    await page.getByRole("link", { name: "Audit this job" }).click();
    await page.getByRole("heading", { name: "This job was pruned" }).waitFor();
    await page.getByText("Everything that can be checked holds").waitFor();
    await page.getByText("Stages and windows").click();
    await page.getByText("pruned-digest").waitFor();
    await shoot(page, "audit-pruned");
    await accessible(page);
    await page.goto(`${market.url}/#/jobs`);
    const [older, line] = [page.getByRole("button", { name: "Older jobs" }), page.getByText("over for long, records removed")];
    await older.or(line).first().waitFor();
    if (await older.isVisible()) await older.click();
    await line.waitFor();
    assert.deepEqual(complaints, []);
    await context.close();
  });
});
