import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { question } from "../../site_templates/assets/matching.js";
import { pieces } from "../../site_templates/assets/marks.js";
import { bucket, decodeRowLists, loadIndex } from "../../site_templates/assets/textindex.js";
import { tokenize } from "../../site_templates/assets/tokenizer.js";
import { ROOT, serve } from "./served.js";

const INDEX = { format: 2, version: "0123abc", rows: 4, total: 5, buckets: 1, shown: 16, pages: [["Guide", "guide/", "How to"]] };

/**
 * The files of an index with one bucket and one shard, written by hand: five rows, of which the last is a page.
 * @param {Record<string, [number[], number[], number[]]>} lists word → rows with it in a name of one part, a tag, the description
 * @param {Partial<typeof INDEX>} [changes]
 */
function files(lists, changes = {}) {
  /** @type {number[]} */
  const shard = [];
  const file = { words: Object.keys(lists).join(" "), counts: /** @type {number[]} */ ([]), shards: /** @type {number[]} */ ([]), start: 0, lengths: /** @type {number[]} */ ([]) };
  for (const fields of Object.values(lists)) {
    const mask = fields.reduce((sum, rows, place) => sum + (rows.length ? 2 ** [0, 4, 6][place] : 0), 0);
    const bytes = fields.filter((rows) => rows.length).flatMap((rows) => [2 * rows.length, ...rows.map((row, place) => row - (rows[place - 1] ?? 0))]);
    bytes.unshift(mask);
    file.counts.push(new Set(fields.flat()).size);
    file.shards.push(0);
    file.lengths.push(bytes.length);
    shard.push(...bytes);
  }
  return {
    "catalog/text/index.json": { ...INDEX, ...changes }, "catalog/text/words/0.json": file, "catalog/text/rows/0.bin": Uint8Array.from(shard),
    "catalog/text/shown/0.json": ["a", "b", "c", "d"].map((name) => [name, `datasets/x/${name}/`, "dataset", "alice", "tag", "1 MB", "summary"]),
  };
}

/**
 * @param {ReturnType<typeof files>} made
 * @param {Record<string, unknown>} changes
 */
function withWords(made, changes) {
  return { ...made, "catalog/text/words/0.json": { ...made["catalog/text/words/0.json"], ...changes } };
}

const CASES = /** @type {{ text: string, tokens: string[], words: string[] }[]} */ (JSON.parse(readFileSync(new URL("../data/tokens.json", import.meta.url), "utf8")));
for (const { text, tokens, words } of CASES) {
  test(`the terms and words of ${JSON.stringify(text)}`, () => {
    assert.deepEqual(tokenize(text), tokens);
    assert.deepEqual(question(text).map((word) => word.text), words);
  });
}

test("a query has up to eight words, each once", () => {
  const words = (/** @type {string} */ text) => question(text).map((word) => word.text);
  assert.deepEqual(words("a b A"), ["a", "b"]);
  assert.deepEqual(words("one two three four five six seven eight nine").at(-1), "eight");
});

test("the pieces that match are marked: words, and characters in scripts without blanks", () => {
  const terms = new Set(["tide", "tides", "識別", "cafe"]);
  const matching = (/** @type {string} */ text) => pieces(text, terms).flatMap(({ text: piece, match }) => (match ? [piece] : []));
  assert.deepEqual(matching("Tides, and the tide of a CAFÉ; tidal"), ["Tides", "tide", "CAFÉ"]);
  assert.deepEqual(matching("画像識別の研究"), ["識別"]);
  for (const text of ["", "a  b", "画像識別 x", "🙂 tide"]) assert.equal(pieces(text, terms).map(({ text: piece }) => piece).join(""), text);
});

test("a bucket depends on the first two characters", () => {
  assert.equal(bucket("a", 1024), 97);
  assert.equal(bucket("ab", 1024), (97 * 31 + 98) % 1024);
  assert.equal(bucket("abc", 1024), bucket("abd", 1024));
  assert.equal(bucket("\u{1d400}\u{1d401}", 1000), (0x1d400 * 31 + 0x1d401) % 1000);
  assert.equal(bucket("", 7), 0);
});

test("row lists are steps, or bits, of the levels that have rows", () => {
  const lists = (/** @type {number[]} */ bytes, /** @type {number} */ total) => decodeRowLists(Uint8Array.from(bytes), total).map(({ rows, level }) => [level, [...rows]]);
  assert.deepEqual(lists([1, 4, 1, 3], 5), [[0, [1, 4]]]);
  assert.deepEqual(lists([2, 7, 0b10011], 5), [[1, [0, 1, 4]]]);
  assert.deepEqual(lists([1, 2, 0xac, 0x02], 301), [[0, [300]]]);
  assert.deepEqual(lists([0x81, 0x10, 2, 3, 2, 4], 5), [[0, [3]], [11, [4]]]);
  assert.deepEqual(lists([0], 5), []);
});

for (const [name, bytes] of Object.entries({
  "no bytes": [],
  "a list that ends early": [1, 4, 1],
  "a number that ends early": [1, 2, 0x80],
  "a number without end": [1, 2, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1],
  "a list longer than all rows": [1, 12, 0, 0, 0, 0, 0, 0],
  "four billion rows": [1, 0xff, 0xff, 0xff, 0xff, 0x0f],
  "a row beyond the last": [1, 2, 5],
  "bits that end early": [1, 3],
  "a level that there isn't": [0x80, 0x20, 2, 0],
})) {
  test(`damaged row lists are an error: ${name}`, () => {
    assert.throws(() => decodeRowLists(Uint8Array.from(bytes), 5), /damaged/);
  });
}

test("rows with every word come first, and few are followed by rows with most of them", async (t) => {
  serve(t, files({ tide: [[0], [2], []], wave: [[], [], [0, 1, 2]] }));
  const index = await loadIndex(ROOT);
  const { rows, best, full, dropped } = await index.search("tide wave ", 5);
  assert.deepEqual([[...rows], best, full, dropped], [[0, 1, 2], [0, 2, 1], 2, ["tide"]]);
  assert.deepEqual((await index.search("wave nothing ", 5)).best, []);
  assert.deepEqual([...(await index.search("  ", 5)).rows], []);
});

test("a match in the name ranks above one in tags, and that above one in the description", async (t) => {
  serve(t, files({ tide: [[3], [1], [0, 2]] }));
  const index = await loadIndex(ROOT);
  assert.deepEqual((await index.search("tide", 5)).best, [3, 1, 0, 2]);
  assert.deepEqual((await index.search("tide", 2)).best, [3, 1]);
  assert.deepEqual((await index.search("tide", 0)).best, []);
});

test("the order is by the word that matches worst, then by the one that matches best", async (t) => {
  serve(t, files({ tide: [[0], [1, 2], [3]], wave: [[], [0], [1, 2, 3]] }));
  const index = await loadIndex(ROOT);
  assert.deepEqual((await index.search("tide wave ", 5)).best, [0, 1, 2, 3]);
});

test("a form of a word matches, after the word itself", async (t) => {
  serve(t, files({ leaf: [[1], [], []], leaves: [[0], [], []] }));
  const index = await loadIndex(ROOT);
  assert.deepEqual((await index.search("leaf ", 5)).best, [1, 0]);
  assert.deepEqual((await index.search("leaves ", 5)).best, [0, 1]);
});

test("words that are written apart or together match", async (t) => {
  serve(t, files({ caltech101: [[2], [], []], caltech: [[0], [], []], 101: [[0], [], []] }));
  const index = await loadIndex(ROOT);
  assert.deepEqual([...(await index.search("caltech 101 ", 5)).rows], [0, 2]);
  assert.deepEqual([...(await index.search("caltech101 ", 5)).rows], [0, 2]);
});

test("a misspelt word is replaced by similar ones, unless it is wanted as it is", async (t) => {
  serve(t, files({ tide: [[0], [], []], tile: [[1], [], []] }));
  const index = await loadIndex(ROOT);
  const similar = async () => [{ word: "tide", edits: 1 }, { word: "tile", edits: 1 }];
  const { best, corrected } = await index.search("tife ", 5, similar);
  assert.deepEqual([best, corrected], [[0, 1], "tide"]);
  assert.deepEqual((await index.search("tife ", 5)).best, []);
});

test("the last word is a prefix until a space follows it", async (t) => {
  serve(t, files({ tide: [[0], [], []], tides: [[1], [], []] }));
  const index = await loadIndex(ROOT);
  assert.deepEqual([...(await index.search("tide", 5)).rows], [0, 1]);
  assert.deepEqual((await index.search("tide", 5)).best, [0, 1], "the whole word is first");
  assert.deepEqual((await index.search("tide ", 5)).best, [0, 1], "tides is a form of it");
  assert.deepEqual([...(await index.search("tid", 5)).rows], [0, 1]);
  assert.deepEqual([...(await index.search("tid ", 5)).rows], [0, 1], "a word that is not in the index is a prefix, too");
  assert.deepEqual([...(await index.search("tidal ", 5)).rows], []);
});

test("results come from the file of their rows, and those of pages from the index", async (t) => {
  serve(t, files({}));
  const index = await loadIndex(ROOT);
  assert.deepEqual(await index.shownOf(1), { name: "b", address: "datasets/x/b/", kind: "dataset", publisher: "alice", tags: "tag", size: "1 MB", summary: "summary" });
  assert.deepEqual(await index.shownOf(4), { name: "Guide", address: "guide/", kind: "page", publisher: "", tags: "", size: "", summary: "How to" });
});

test("each file is requested once, and again after a failure", async (t) => {
  const served = /** @type {Record<string, unknown>} */ (files({ tide: [[0], [], []] }));
  const shard = served["catalog/text/rows/0.bin"];
  delete served["catalog/text/rows/0.bin"];
  const requested = serve(t, served);
  const index = await loadIndex(ROOT);
  await assert.rejects(index.search("tide ", 5), /404/);
  served["catalog/text/rows/0.bin"] = shard;
  await index.search("tide ", 5);
  await index.search("tide ", 5);
  assert.deepEqual(requested, ["catalog/text/index.json", "catalog/text/words/0.json", "catalog/text/rows/0.bin", "catalog/text/rows/0.bin"]);
});

for (const changes of /** @type {any[]} */ ([
  { total: 5_000_001 }, { total: 3 }, { total: -1 }, { total: 4.5 }, { total: "5" }, { rows: null }, { buckets: 0 }, { buckets: 100_001 }, { shown: 0 }, { shown: 1e9 }, { format: 1 },
])) {
  test(`an index with ${JSON.stringify(changes)} is an error`, async (t) => {
    serve(t, files({}, changes));
    await assert.rejects(loadIndex(ROOT), /index\.json is damaged/);
  });
}

for (const changes of [{ counts: [1] }, { shards: null }, { start: -1 }, { start: [0] }, { lengths: [4, 4.5] }, { lengths: [4, "4"] }, { lengths: [4, 1e15] }, { shards: [0, 10_000_001] }]) {
  test(`a file of words with ${JSON.stringify(changes)} is an error`, async (t) => {
    serve(t, withWords(files({ tide: [[0], [], []], wave: [[1], [], []] }), changes));
    const index = await loadIndex(ROOT);
    await assert.rejects(index.search("tide wave ", 5), /damaged/);
  });
}
