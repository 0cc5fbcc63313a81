// A real browser that visits a market of real processes, and what its tests do in it over and over.

import axe from "axe-core";
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { root, startMarket } from "./market.mjs";
import { startRecorder } from "./recorder.mjs";
import { address } from "./wallet.mjs";

export const seven = join(root, "tests/fixtures/digits/grey-28x28-7.png");
export const passphrase = "correct horse battery";
/** Where pictures of pages go, if anywhere. */
const shots = process.env.ENCOMPUTE_SHOTS;
export const patience = 60_000;

export let market, recorder, browser;

/** Starts all that a file of tests needs. */
export async function begin() {
  [market, recorder] = await Promise.all([startMarket(), startRecorder()]);
  browser = await chromium.launch({
    executablePath: process.env.ENCOMPUTE_CHROMIUM ?? "/usr/bin/chromium",
    // Nothing of a machine's own addresses passes the recorder by.
    proxy: { server: recorder.address, bypass: "<-loopback>" },
    // Tests run as root in containers; what they open is ours.
    args: ["--no-sandbox"],
  });
}

/** Stops it. */
export async function end() {
  await browser?.close();
  recorder?.stop();
  await market?.stop();
}

/** A browser of its own, with what it complained about. */
export async function visitor({ unasked = false, ...options } = {}) {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(patience);
  // The setting of who does not want to be asked before a release is sent.
  if (unasked) await context.addInitScript(() => location.protocol.startsWith("http") && localStorage.setItem("send-unasked", "yes"));
  const page = await context.newPage();
  const complaints = [];
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  return { context, page, complaints };
}

/** Waits until the gallery's cards are there, with what a run costs. */
export async function priced(page) {
  await page.locator(".cards .facts", { hasText: "Price" }).filter({ hasNotText: "…" }).first().waitFor();
}

export async function shoot(page, name) {
  if (!shots) return;
  mkdirSync(shots, { recursive: true });
  await page.screenshot({ path: join(shots, `${name}.png`), fullPage: true });
}

export async function accessible(page) {
  await page.evaluate(axe.source);
  const found = await page.evaluate(() => globalThis.axe.run({ runOnly: ["wcag2a", "wcag2aa", "wcag21aa"] }));
  const words = found.violations.map((each) => `${each.id}: ${each.nodes.map((node) => node.html).join(" ")}`);
  assert.deepEqual(words, []);
}

export async function enterByWallet(page) {
  await page.getByRole("button", { name: "Use wallet test-wallet" }).click();
  await page.locator("form", { hasText: "Account of test-wallet" }).getByRole("button").click();
  await page.getByText(`Signs as ${address}`).waitFor();
  await open(page);
}

export async function enter(page) {
  if (await page.getByRole("button", { name: "Use this account" }).isVisible()) {
    await page.getByLabel("Development account").selectOption("//Dave");
    await page.getByRole("button", { name: "Use this account" }).click();
    await page.getByText(/Signs as/).waitFor();
  }
  await open(page);
}

export async function open(page) {
  await page.getByLabel(/passphrase/i).fill(passphrase);
  await page.getByRole("button", { name: /^(Set passphrase|Open my jobs)$/ }).click();
}

/** Opens the keys, unless they are. */
export async function opened(page, who) {
  const keys = page.getByText("Your keys are open in this tab");
  if (!(await keys.isVisible())) await who(page);
  await keys.waitFor();
}

/** Chooses a model, gives it a file, pays; gives the tensor that was encrypted, once the job's page is there. */
export async function buy(page, model, file, who = enter, choice = undefined) {
  await page.goto(market.url);
  await page.getByRole("link", { name: model, exact: true }).click();
  if (choice) await page.getByLabel(choice, { exact: true }).check();
  await page.locator("input[type=file]").first().setInputFiles(file);
  await page.getByText("Exactly this will be encrypted").waitFor();
  // Of a picture; a table's is shown in numbers.
  const tensor = await page.locator("canvas.pixels").evaluateAll(([canvas]) => {
    if (!canvas) return [];
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return [...data].filter((_, at) => at % 4 === 0);
  });
  await shoot(page, "model");
  await opened(page, who);
  await page.getByRole("button", { name: /Encrypt and pay/ }).click();
  await page.waitForURL(/#\/mine\//);
  return Buffer.from(tensor);
}


/** Says yes to what is about to be sent. */
export async function send(page) {
  await page.getByRole("button", { name: "Send these numbers to the creator" }).click();
}

/** Waits for a job's answer; gives its class. */
export async function answered(page) {
  await page.getByRole("heading", { name: "The model's answer" }).waitFor();
  return page.locator(".answer strong").first().textContent();
}
