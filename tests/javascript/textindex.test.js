import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { bucket, decodeRowLists, loadIndex, tokenize, words } from "../../site_templates/assets/textindex.js";
import { ROOT, serve } from "./served.js";

const INDEX = { version: "0123abc", rows: 4, total: 5, buckets: 1, shown: 16, pages: [["Guide", "guide/", "How to"]] };

/**
 * The files of an index with one bucket and one shard, written by hand: five rows, of which the last is a page.
 * @param {Record<string, [number[], number[], number[]]>} lists word → rows by field
 * @param {Partial<typeof INDEX>} [changes]
 */
function files(lists, changes = {}) {
  /** @type {number[]} */
  const shard = [];
  const file = { words: Object.keys(lists).join(" "), counts: /** @type {number[]} */ ([]), shards: /** @type {number[]} */ ([]), starts: /** @type {number[]} */ ([]), lengths: /** @type {number[]} */ ([]) };
  for (const fields of Object.values(lists)) {
    const bytes = fields.flatMap((rows) => [2 * rows.length, ...rows.map((row, place) => row - (rows[place - 1] ?? 0))]);
    file.counts.push(new Set(fields.flat()).size);
    file.shards.push(0);
    file.starts.push(shard.length);
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

const CASES = /** @type {{ text: string, tokens: string[] }[]} */ (JSON.parse(readFileSync(new URL("../data/tokens.json", import.meta.url), "utf8")));
for (const { text, tokens } of CASES) {
  test(`the tokens of ${JSON.stringify(text)}`, () => assert.deepEqual(tokenize(text), tokens));
}

test("a query has up to eight words, each once", () => {
  assert.deepEqual(words("a b A"), ["a", "b"]);
  assert.deepEqual(words("one two three four five six seven eight nine").at(-1), "eight");
});

test("a bucket depends on the first two characters", () => {
  assert.equal(bucket("a", 1024), 97);
  assert.equal(bucket("ab", 1024), (97 * 31 + 98) % 1024);
  assert.equal(bucket("abc", 1024), bucket("abd", 1024));
  assert.equal(bucket("\u{1d400}\u{1d401}", 1000), (0x1d400 * 31 + 0x1d401) % 1000);
  assert.equal(bucket("", 7), 0);
});

test("row lists are steps, or bits", () => {
  assert.deepEqual(decodeRowLists(Uint8Array.of(4, 1, 3, 0, 0), 5).map((list) => [...list]), [[1, 4], [], []]);
  assert.deepEqual(decodeRowLists(Uint8Array.of(0, 7, 0b10011, 0), 5).map((list) => [...list]), [[], [0, 1, 4], []]);
  assert.deepEqual(decodeRowLists(Uint8Array.of(2, 0xac, 0x02, 0, 0), 301).map((list) => [...list]), [[300], [], []]);
});

for (const [name, bytes] of Object.entries({
  "no bytes": [],
  "a list that ends early": [4, 1],
  "a number that ends early": [2, 0x80],
  "a number without end": [2, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1],
  "a list longer than all rows": [12, 0, 0, 0, 0, 0, 0, 0, 0],
  "four billion rows": [0xff, 0xff, 0xff, 0xff, 0x0f],
  "a row beyond the last": [2, 5, 0, 0],
  "bits that end early": [3],
})) {
  test(`damaged row lists are an error: ${name}`, () => {
    assert.throws(() => decodeRowLists(Uint8Array.from(bytes), 5), /damaged/);
  });
}

test("every word must match, in any field", async (t) => {
  serve(t, files({ tide: [[0], [2], []], wave: [[], [], [0, 1, 2]] }));
  const index = await loadIndex(ROOT);
  assert.deepEqual([...(await index.search("tide wave ", 5)).rows], [0, 2]);
  assert.deepEqual([...(await index.search("tide nothing ", 5)).rows], []);
  assert.deepEqual([...(await index.search("  ", 5)).rows], []);
});

test("a match in the name ranks above one in tags, and that above one in the description", async (t) => {
  serve(t, files({ tide: [[3], [1], [0, 2]] }));
  const index = await loadIndex(ROOT);
  assert.deepEqual((await index.search("tide", 5)).best, [3, 1, 0, 2]);
  assert.deepEqual((await index.search("tide", 2)).best, [3, 1]);
  assert.deepEqual((await index.search("tide", 0)).best, []);
});

test("a rare word counts more than a frequent one", async (t) => {
  serve(t, files({ rare: [[], [2], []], frequent: [[], [0, 1, 2, 3], []], other: [[], [], [0, 1, 2, 3]] }));
  const index = await loadIndex(ROOT);
  assert.deepEqual((await index.search("frequent ", 1)).best, [0]);
  assert.deepEqual((await index.search("rare frequent ", 1)).best, [2]);
});

test("the last word is a prefix until a space follows it", async (t) => {
  serve(t, files({ tide: [[0], [], []], tides: [[1], [], []] }));
  const index = await loadIndex(ROOT);
  assert.deepEqual([...(await index.search("tide", 5)).rows], [0, 1]);
  assert.deepEqual((await index.search("tide", 5)).best, [0, 1], "the whole word is first");
  assert.deepEqual([...(await index.search("tide ", 5)).rows], [0]);
  assert.deepEqual([...(await index.search("tid ", 5)).rows], [0, 1], "a word that is not in the index is a prefix, too");
  assert.deepEqual([await index.has("tid"), await index.has("tidal")], [true, false]);
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
  { total: 5_000_001 }, { total: 3 }, { total: -1 }, { total: 4.5 }, { total: "5" }, { rows: null }, { buckets: 0 }, { buckets: 100_001 }, { shown: 0 }, { shown: 1e9 },
])) {
  test(`an index with ${JSON.stringify(changes)} is an error`, async (t) => {
    serve(t, files({}, changes));
    await assert.rejects(loadIndex(ROOT), /index\.json is damaged/);
  });
}

for (const changes of [{ counts: [1] }, { shards: null }, { starts: [0, -1] }, { lengths: [4, 4.5] }, { lengths: [4, "4"] }, { lengths: [4, 1e15] }, { shards: [0, 10_000_001] }]) {
  test(`a file of words with ${JSON.stringify(changes)} is an error`, async (t) => {
    serve(t, withWords(files({ tide: [[0], [], []], wave: [[1], [], []] }), changes));
    const index = await loadIndex(ROOT);
    await assert.rejects(index.search("tide wave ", 5), /damaged/);
  });
}
