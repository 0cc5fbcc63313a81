// The page in a real browser, against a market of real processes.

import assert from "node:assert/strict";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { root } from "./market.mjs";
import {
  accessible, answered, begin, buy, end, enter, enterByWallet, market, open, opened, passphrase, patience, priced, recorder, send, seven, shoot, visitor,
} from "./visit.mjs";
import { address, install } from "./wallet.mjs";

before(begin);
after(end);

/** Says how long a browser that never saw the page takes to it: the median of five. */
async function firstLoads(t) {
  const took = [];
  for (let time = 0; time < 5; time++) {
    const { page, context } = await visitor();
    const began = performance.now();
    await page.goto(market.url);
    await page.getByRole("heading", { name: "digits", exact: true }).waitFor();
    const cards = performance.now() - began;
    await priced(page);
    took.push([performance.now() - began, cards]);
    await context.close();
  }
  const [whole, cards] = took.sort(([a], [b]) => a - b)[2];
  t.diagnostic(`first load, median of five: models after ${cards.toFixed(0)} ms, prices after ${whole.toFixed(0)} ms`);
}

/** Every blob of the market's store. */
function blobs() {
  const found = readdirSync(join(market.home, "blobs"), { recursive: true, withFileTypes: true });
  return found.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

/** Every run of so many bytes that is no mere repetition. */
function runsOf(bytes, length) {
  const runs = [];
  for (let at = 0; at + length <= bytes.length; at++) {
    const run = bytes.subarray(at, at + length);
    if (new Set(run).size > length / 2) runs.push(run);
  }
  return runs;
}

describe("the page", { timeout: 20 * patience }, () => {
  test("takes a picture to an answer and a proof, and nothing readable leaves the tab", async (t) => {
    await firstLoads(t);
    const { page, complaints, context } = await visitor();
    await page.goto(market.url);
    await priced(page);
    await shoot(page, "gallery");
    await accessible(page);
    const tensor = await buy(page, "digits", seven);
    await send(page);
    assert.equal(await answered(page), "7");
    await page.getByText("What it does not say.").waitFor();
    await page.getByText("How long each step took").click();
    for (const step of await page.locator("details[open] .facts > div").allInnerTexts()) t.diagnostic(step.replace(/\s+/g, " "));
    await shoot(page, "answer");
    await accessible(page);
    await page.emulateMedia({ media: "print" });
    assert.ok(await page.getByRole("heading", { name: "The model's answer" }).isVisible());
    assert.ok(!(await page.getByRole("button", { name: "Print" }).isVisible()), "buttons are not printed");
    await shoot(page, "answer-print");
    await page.emulateMedia({ media: null });
    await page.getByRole("link", { name: "Check the proof" }).click();
    await page.getByText("Everything that can be checked holds").waitFor();
    await page.getByText("Simulated.", { exact: true }).waitFor();
    await shoot(page, "audit");
    await accessible(page);
    // What the audit read, in a file that the command line judges without chain or store.
    const saving = page.waitForEvent("download");
    await page.getByRole("button", { name: "Download all that it read" }).click();
    const file = join(market.home, "job.audit");
    await (await saving).saveAs(file);
    const verdict = market.encompute(["audit", "bundle", file, "--offline", "--network", "local", "--json"]);
    assert.equal(JSON.parse(verdict).verdict, "pass");
    assert.deepEqual(complaints, []);

    const sent = recorder.sent();
    for (const [what, secret, length] of [["file", readFileSync(seven), 8], ["tensor", tensor, 6]]) {
      const runs = runsOf(secret, length);
      assert.ok(runs.length > 50, `only ${runs.length} runs of the ${what} are looked for`);
      for (const run of runs) {
        const written = [run, Buffer.from(run.toString("hex")), Buffer.from([...run].join(","))];
        assert.ok(!written.some((form) => sent.includes(form)), `a run of the ${what}'s bytes left the tab: ${run.toString("hex")}`);
      }
    }
    const kept = blobs().map((path) => readFileSync(path)).filter((blob) => blob.length > 40_000);
    // The search would find it: the encrypted request, which did leave, is found.
    assert.ok(kept.some((blob) => sent.includes(blob.subarray(20_000, 20_032))), "what is known to have left is not in the log");
    const known = new Set([market.url, market.rpc, ...market.services.flatMap(({ ready }) => [ready?.listen, ready?.url, ready?.rpc])]
      .filter(Boolean).map((url) => new URL(url).host));
    // Chromium asks its maker for news of itself, whatever page it shows. A page that asked there would have been stopped
    // by its policy, and its complaint be among the complaints.
    const makers = /^([a-z0-9-]+\.)*(google|googleapis|gvt1)\.com(:\d+)?$/;
    for (const host of [...recorder.hosts].filter((host) => !makers.test(host))) assert.ok(known.has(host), `${host} was asked, which the network does not name`);
    await context.close();
  });

  test("goes on after a reload in the middle", async () => {
    const { page, complaints, context } = await visitor({ unasked: true });
    await buy(page, "digits", seven);
    await page.reload();
    await page.getByRole("heading", { name: "Go on with your job" }).waitFor();
    await enter(page);
    assert.equal(await answered(page), "7");
    assert.deepEqual(complaints, []);
    await context.close();
  });

  test("buys by a wallet of the browser, which is shown every transaction", async () => {
    const { page, complaints, context } = await visitor();
    const asked = [];
    await install(context, asked);
    await buy(page, "breast-cancer", join(root, "tests/fixtures/breast-cancer/patient-malignant.csv"), enterByWallet);
    await send(page);
    assert.equal(await answered(page), "malignant");
    assert.equal(asked.length, 3, "a request, the features, the acceptance");
    assert.ok(asked.every((payload) => payload.address === address && payload.version === 4));
    assert.deepEqual(complaints, []);
    await context.close();
  });

  test("refuses a file that is no picture, and a wrong passphrase, in words", async () => {
    const { page, context } = await visitor();
    await page.goto(market.url);
    await page.getByRole("link", { name: "digits", exact: true }).click();
    await page.locator("input[type=file]").first().setInputFiles({ name: "letter.png", mimeType: "image/png", buffer: Buffer.from("Dear doctor") });
    await page.getByRole("alert").getByText(/neither a PNG, a JPEG, a DICOM nor a NIfTI file/).waitFor();
    assert.ok(await page.getByRole("button", { name: /Encrypt and pay/ }).isDisabled());
    await enter(page);
    await page.getByText("Your keys are open in this tab").waitFor();
    await page.getByRole("button", { name: "Lock" }).click();
    await page.getByLabel("Your passphrase").fill("another passphrase");
    await page.getByRole("button", { name: "Open my jobs" }).click();
    await page.getByRole("alert").getByText("wrong passphrase").waitFor();
    await context.close();
  });

  test("reads the slice of a scan that its user chooses", async () => {
    const { page, complaints, context } = await visitor();
    await page.goto(market.url);
    await page.getByRole("link", { name: "brain-regions", exact: true }).click();
    await page.locator("input[type=file]").first().setInputFiles(join(root, "tests/fixtures/scans/functional.nii.gz"));
    const slice = page.getByLabel(/^Slice \d+ of \d+$/);
    await slice.waitFor();
    const shown = () => page.locator("canvas.pixels").first().evaluate((canvas) => canvas.toDataURL());
    const middle = await shown();
    await slice.fill("1");
    await page.getByLabel(/^Slice 1 of \d+$/).waitFor();
    assert.notEqual(await shown(), middle);
    await accessible(page);
    assert.deepEqual(complaints, []);
    await context.close();
  });

  const phone = { width: 390, height: 844 };
  const looks = [["phone-light", phone, "light"], ["phone-dark", phone, "dark"], ["desk-dark", { width: 1280, height: 900 }, "dark"]];
  for (const [look, viewport, colorScheme] of looks) {
    test(`shows every page to anybody: ${look}`, async () => {
      const { page, complaints, context } = await visitor({ viewport, colorScheme });
      const pages = [
        ["", "Rated by payers"], ["model/1", "You have back"], ["jobs", "settled"], ["job/1", "Job 1: "], ["audit/1", "What this audit cannot tell"],
        ["workers", "holds until block"], ["events", "events since block"], ["account", "Who are you?"],
      ];
      await page.goto(market.url);
      for (const [address, there] of pages) {
        await page.evaluate((address) => (location.hash = `#/${address}`), address);
        await page.getByText(there).first().waitFor();
        const [content, screen] = await page.evaluate(() => [document.scrollingElement.scrollWidth, innerWidth]);
        assert.ok(content <= screen, `#/${address} is ${content} pixels wide on a screen of ${screen}`);
        await shoot(page, `${address.replace("/", "-") || "gallery"}-${look}`);
        await accessible(page);
      }
      assert.deepEqual(complaints, []);
      await context.close();
    });
  }

  test("finds models by word, kind and grade, sorts them, and shows what their creators measured", async () => {
    const { page, complaints, context } = await visitor();
    await page.goto(market.url);
    await page.getByRole("heading", { name: "digits", exact: true }).waitFor();
    const names = () => page.locator(".cards h2").allTextContents();
    await page.getByLabel("Sort by").selectOption("price");
    const byPrice = await names();
    await page.getByLabel("Sort by").selectOption("name");
    assert.deepEqual([...byPrice].sort(), await names());
    await page.getByLabel("Reads").selectOption("table");
    assert.deepEqual(await names(), ["breast-cancer"]);
    await page.getByLabel("Reads").selectOption("");
    await page.getByLabel("Search").fill("handwritten");
    assert.deepEqual(await names(), ["digits", "digits-conv"]);
    await page.getByRole("link", { name: "digits", exact: true }).click();
    await page.getByText("the creator's report").click();
    await page.getByText("What the creator could rebuild").click();
    const report = JSON.parse(readFileSync(join(root, "scripts/models/digits/report.json"), "utf8"));
    const rows = report.splits[0].strip.length;
    assert.ok(rows >= 2, "originals and at least one attack");
    await page.waitForFunction((rows) => {
      const painted = [...document.querySelectorAll(".strip canvas")].filter(({ width }) => width > 100 && width !== 300);
      return painted.length === rows;
    }, rows);
    const points = await page.locator(".plot").first().locator("circle").count();
    assert.equal(points, report.splits.length);
    await shoot(page, "report");
    await accessible(page);
    assert.deepEqual(complaints, []);
    await context.close();
  });

  test("shows workers, events and accounts to anybody, and pays credits out to their owner", async () => {
    const { page, complaints, context } = await visitor();
    await page.goto(`${market.url}/#/workers`);
    await page.getByText(/holds until block/).waitFor();
    await shoot(page, "workers");
    await accessible(page);
    await page.goto(`${market.url}/#/events`);
    const earlier = page.getByRole("button", { name: "Read earlier blocks" });
    while (await earlier.isVisible()) await earlier.click().catch(() => undefined);
    await page.getByLabel("Kind").selectOption("WorkerRegistered");
    await page.getByText("until block").first().waitFor();
    await page.getByLabel("Kind").selectOption("");
    await shoot(page, "events");
    await accessible(page);
    await page.goto(`${market.url}/#/account`);
    await page.getByLabel("Development account").selectOption("//Charlie");
    await page.getByRole("button", { name: "Use this account" }).click();
    await page.getByRole("heading", { name: "As a creator" }).waitFor();
    await shoot(page, "account");
    await accessible(page);
    await page.getByRole("button", { name: "Withdraw" }).click();
    await page.getByText(/^0 UNIT may be taken out/).waitFor();
    assert.deepEqual(complaints, []);
    await context.close();
  });

  test("shows which check of a tampered job does not hold", async () => {
    const before = await visitor();
    await before.page.goto(`${market.url}/#/audit/1`);
    await before.page.getByText("Blurred numbers and result").click();
    const check = before.page.locator("details.check", { hasText: "result-digest" });
    await check.locator("summary").click();
    const name = (await check.locator("code").first().textContent()).replace(/^0x/, "");
    await before.context.close();
    const blob = blobs().find((path) => path.endsWith(name));
    writeFileSync(blob, Buffer.concat([readFileSync(blob).subarray(0, -1), Buffer.from("!")]));
    // Blobs never change, so a browser that has had one does not ask for it again.
    const { page, context } = await visitor();
    await page.goto(`${market.url}/#/audit/1`);
    await page.getByRole("heading", { name: /1 of \d+ checks do not hold/ }).waitFor();
    assert.match(await page.locator("details.check[open] summary").first().textContent(), /fails result-blob/);
    await shoot(page, "audit-tampered");
    await accessible(page);
    await context.close();
  });

  test("goes on when the chain was away in the middle of a job", async () => {
    const { page, context } = await visitor({ unasked: true });
    await buy(page, "digits", seven);
    market.signal("chain", "SIGKILL");
    const answer = page.getByRole("heading", { name: "The model's answer" });
    const again = page.getByRole("button", { name: "Go on", exact: true });
    while (!(await answer.isVisible())) {
      await answer.or(again).first().waitFor();
      if (await again.isVisible()) await again.click();
    }
    assert.equal(await page.locator(".answer strong").first().textContent(), "7");
    await context.close();
  });

  test("lets anybody move on a job whose worker is silent, and gives its user everything back", async () => {
    market.signal("worker", "SIGSTOP");
    const buyer = await visitor();
    await buy(buyer.page, "digits", seven);
    await buyer.page.getByRole("link", { name: "What the chain says" }).click();
    await buyer.page.waitForURL(/#\/job\//);
    const job = buyer.page.url();
    // Whose tab drives the job would move it on by itself.
    await buyer.context.close();
    const { page, complaints, context } = await visitor();
    await page.goto(`${market.url}/#/account`);
    await page.getByLabel("Development account").selectOption("//Ferdie");
    await page.getByRole("button", { name: "Use this account" }).click();
    await page.getByRole("heading", { name: "Jobs with a part in them" }).waitFor();
    await page.goto(job);
    await page.getByText("Next: a worker claims it").waitFor();
    assert.ok((await market.seal(601)).result > 601);
    await page.getByRole("button", { name: "Move it on" }).click();
    await page.getByText("no worker claimed it in time").waitFor();
    await page.getByText("Back to the user").waitFor();
    await shoot(page, "job-cancelled");
    await accessible(page);
    assert.deepEqual(complaints, []);
    market.signal("worker", "SIGCONT");
    await context.close();
  });

  test("refuses a split that its network does not allow, before anything is signed", async () => {
    const { page, complaints, context } = await visitor();
    await context.route("**/network.toml", async (route) => {
      const answer = await route.fetch();
      await route.fulfill({ body: (await answer.text()).replace(/^sets = .*$/m, 'sets = ["glwe-4096-v1"]') });
    });
    await page.goto(market.url);
    await page.getByRole("link", { name: "digits", exact: true }).click();
    await page.locator("input[type=file]").first().setInputFiles(seven);
    await page.getByRole("alert").getByText(/parameter set glwe-2048-v1 is not allowed on network local/).waitFor();
    await enter(page);
    await page.getByText("Your keys are open in this tab").waitFor();
    assert.ok(await page.getByRole("button", { name: /Encrypt and pay/ }).isDisabled());
    await shoot(page, "refused");
    assert.deepEqual(complaints, []);
    await context.close();
  });

  test("refuses a release beyond the bits that one picture may give away, before it is paid for", async () => {
    const { page, complaints, context } = await visitor({ unasked: true });
    const patch = join(root, "tests/fixtures/brain-regions/patch-32x32-cerebellum.png");
    for (const policy of ["balanced", "private", "accurate"]) {
      await buy(page, "brain-regions", patch, enter, `features-16, ${policy}`);
      await answered(page);
    }
    const jobs = () => JSON.parse(market.encompute(["audit", "ledger", "--network", "local", "--json"])).jobs;
    const before = jobs();
    await page.goto(market.url);
    await page.getByRole("link", { name: "brain-regions", exact: true }).click();
    await page.locator("input[type=file]").first().setInputFiles(patch);
    await page.getByRole("radio", { name: "features-16-inside, balanced" }).check();
    await opened(page, enter);
    await page.getByRole("button", { name: /Encrypt and pay/ }).click();
    await page.getByRole("alert").getByText(/this input has given away \d+ thousandths of a bit, \d+ more would pass its budget of 24000/).waitFor();
    assert.equal(jobs(), before, "nothing was paid for");
    assert.deepEqual(complaints, []);
    await context.close();
  });

  test("opens a user's jobs with a passkey where one was made beside the passphrase", async () => {
    const { page, complaints, context } = await visitor();
    // Browsers make passkeys for names, not for addresses.
    const url = market.url.replace("127.0.0.1", "localhost");
    const devtools = await context.newCDPSession(page);
    await devtools.send("WebAuthn.enable");
    await devtools.send("WebAuthn.addVirtualAuthenticator", {
      options: {
        protocol: "ctap2", ctap2Version: "ctap2_1", transport: "internal", hasResidentKey: true, hasUserVerification: true,
        isUserVerified: true, hasPrf: true, automaticPresenceSimulation: true,
      },
    });
    await page.goto(`${url}/#/account`);
    await page.getByLabel(/this device's passkey/).check();
    await page.getByLabel(/passphrase/i).fill(passphrase);
    await page.getByRole("button", { name: "Set passphrase" }).click();
    await page.getByText("Your keys are open in this tab").waitFor();
    const kept = await page.evaluate(() => JSON.stringify(localStorage));
    assert.ok(kept.includes("sealed") && !kept.includes(passphrase), kept);
    await page.reload();
    await page.getByRole("button", { name: "Open my jobs with the passkey" }).waitFor();
    await accessible(page);
    await page.getByRole("button", { name: "Open my jobs with the passkey" }).click();
    await page.getByText("Your keys are open in this tab").waitFor();
    // The passphrase opens them as before.
    await page.reload();
    await open(page);
    await page.getByText("Your keys are open in this tab").waitFor();
    assert.deepEqual(complaints, []);
    await context.close();
  });

  test("says so when the chain is away", async () => {
    const { page, context } = await visitor();
    await context.route("**/network.toml", async (route) => {
      const answer = await route.fetch();
      await route.fulfill({ body: (await answer.text()).replace(/^rpc = .*$/m, 'rpc = "ws://127.0.0.1:9"') });
    });
    await page.goto(market.url);
    await page.getByRole("heading", { name: "This page cannot reach its network" }).waitFor();
    await context.close();
  });
});
