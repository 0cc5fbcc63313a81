// The worker's arithmetic under WebAssembly gives the very responses that it gives natively.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { initSync, response_digests } from "../.wasm/encompute_web_vectors.js";

const here = (path) => new URL(path, import.meta.url);

test("responses under WebAssembly have the recorded digests", () => {
  initSync({ module: readFileSync(here("../.wasm/encompute_web_vectors_bg.wasm")) });
  const recorded = JSON.parse(readFileSync(here("../../../../worker/head/tests/vectors/responses.json"), "utf8"));
  assert.ok(recorded.length >= 8);
  assert.deepEqual(JSON.parse(response_digests()), recorded);
});
