import assert from "node:assert/strict";
import { test } from "node:test";

import { slipsAllowed } from "../../site_templates/assets/matching.js";
import { distance, similar } from "../../site_templates/assets/spelling.js";
import { serve } from "./served.js";

const DIGIT = (/** @type {number} */ number) => String.fromCharCode(35 + number); // below 57

/**
 * The plain recursive definition of the distance.
 * @param {string[]} a
 * @param {string[]} b
 * @returns {number}
 */
function slowDistance(a, b) {
  if (!a.length || !b.length) return a.length + b.length;
  const [x, y] = [a.slice(0, -1), b.slice(0, -1)];
  let best = Math.min(slowDistance(x, b) + 1, slowDistance(a, y) + 1, slowDistance(x, y) + (a.at(-1) === b.at(-1) ? 0 : 1));
  if (a.length > 1 && b.length > 1 && a.at(-1) === b.at(-2) && a.at(-2) === b.at(-1)) best = Math.min(best, slowDistance(a.slice(0, -2), b.slice(0, -2)) + 1);
  return best;
}

test("the distance is that of its definition, up to the limit", () => {
  /** @type {string[]} */
  const all = [""];
  for (const word of all) if (word.length < 4) all.push(...["a", "b", "c"].map((letter) => word + letter));
  for (const one of all.filter((_, place) => place % 3 === 0)) {
    for (const other of all.filter((_, place) => place % 4 === 1)) {
      const [a, b] = [[...one], [...other]];
      for (const limit of [1, 2]) assert.equal(distance(a, b, limit), Math.min(slowDistance(a, b), limit + 1), `${one} ${other}`);
    }
  }
});

/**
 * @param {import("node:test").TestContext} t
 * @param {Record<string, [string, number][]>} lists
 * @returns {URL} a root of its own, as the files are cached
 */
function catalog(t, lists) {
  const root = new URL(`https://catalog.example/${Math.random()}/`);
  const files = /** @type {Record<string, unknown>} */ ({});
  for (const place of [1, 2]) {
    for (const letter of "abcdefghijklmnopqrstuvwxyz0123456789_") {
      const known = lists[`${place}${letter}`] ?? [];
      files[`${root.pathname.slice(1)}catalog/words/${place}${letter}.json`] = { words: known.map(([word]) => word).join(" "), counts: known.map(([, count]) => DIGIT(count)).join("") };
    }
  }
  serve(t, files);
  return root;
}

const words = async (/** @type {string} */ word, /** @type {URL} */ root) => (await similar(word, slipsAllowed(word), root)).map((one) => one.word);

test("the closest word is first, then the most frequent of those as close", async (t) => {
  const root = catalog(t, { "1h": [["harbour", 3], ["harvest", 9]], "1t": [["tide", 2], ["tile", 5], ["time", 5]], "2a": [["harbour", 3]] });
  assert.deepEqual(await words("harbuor", root), ["harbour"], "swapped letters");
  assert.deepEqual(await words("tife", root), ["tile", "time", "tide"], "the most frequent, then the first by letters");
  assert.deepEqual(await words("aharbour", root), ["harbour"], "the first letter may be wrong");
  assert.deepEqual(await words("xyzzy", root), []);
});

test("short words, very long ones and numbers are not corrected", () => {
  assert.deepEqual(["tid", "t".repeat(41), "20124", "٢٠٢٤٢٠٢٤"].map(slipsAllowed), [0, 0, 0, 0]);
  assert.deepEqual(["tide", "harbour", "oceanography"].map(slipsAllowed), [1, 1, 2]);
});

test("two edits are allowed from eight letters on", async (t) => {
  const root = catalog(t, { "1e": [["elephant", 2], ["estuary", 1]] });
  assert.deepEqual(await words("elefant", root), []);
  assert.deepEqual(await words("elefannt", root), [], "three edits");
  assert.deepEqual(await similar("elephnat", 2, root), [{ word: "elephant", edits: 1 }]);
  assert.deepEqual(await similar("elepphnt", 2, root), [{ word: "elephant", edits: 2 }]);
  assert.deepEqual(await words("estaurry", root), ["estuary"]);
});

test("letters outside of a to z share a file", async (t) => {
  const root = catalog(t, { "1_": [["δισκος", 2]] });
  assert.deepEqual(await words("δισκοσ", root), ["δισκος"]);
});
