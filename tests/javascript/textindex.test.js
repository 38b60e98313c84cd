import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { question } from "../../site_templates/assets/matching.js";
import { excerpt, pieces } from "../../site_templates/assets/marks.js";
import { bucket, decodeRowLists, loadIndex } from "../../site_templates/assets/textindex.js";
import { tokenize } from "../../site_templates/assets/tokenizer.js";
import { ROOT, serve } from "./served.js";

const INDEX = { format: 3, version: "0123abc", rows: 4, total: 5, buckets: 1, shown: 16, pages: [["Guide", "guide/", "How to"]] };

/**
 * Small numbers as text.
 * @param {number[]} numbers
 */
function short(numbers) {
  return String.fromCharCode(...numbers.map((number) => 35 + number));
}

/**
 * A list of some of five rows, as one bit each.
 * @param {number[]} rows
 */
function bitsOf(rows) {
  return [2 * rows.length + 1, rows.reduce((sum, row) => sum + 2 ** row, 0)];
}

/**
 * The files of an index with one bucket and one shard, written by hand: five rows, of which the last is a page.
 * @param {Record<string, [number[], number[], number[]]>} lists word → rows with it in a name of one part, a tag, the description
 * @param {Partial<typeof INDEX>} [changes]
 */
function files(lists, changes = {}) {
  /** @type {number[]} */
  const shard = [];
  const [counts, lengths, pages] = [/** @type {number[]} */ ([]), /** @type {number[]} */ ([]), /** @type {number[]} */ ([])];
  Object.values(lists).forEach((fields, place) => {
    const mask = fields.reduce((sum, rows, field) => sum + (rows.length ? 2 ** [0, 4, 6][field] : 0), 0);
    const bytes = [12 + mask, ...fields.filter((rows) => rows.length).flatMap(bitsOf)];
    const all = new Set(fields.flat());
    if (all.delete(4)) pages.push(place);
    counts.push(all.size);
    lengths.push(bytes.length);
    shard.push(...bytes);
  });
  const file = {
    same: short(counts.map(() => 0)), words: Object.keys(lists).join(" "), counts: short(counts), shards: short(counts.map(() => 0)), start: 0,
    lengths: short(lengths), pages: short(pages.map((place, number) => place - (pages[number - 1] ?? 0))),
  };
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

test("the line of a description that has most of the words is shown, cut at words", () => {
  const filler = "Nothing of interest happens here for a while. ".repeat(8);
  const text = `Tides are measured. ${filler}A [coast](https://x.example/y) has **tides** and waves in winter. ${filler}`;
  const line = excerpt(text, new Set(["tides", "waves"]));
  assert.match(line, /^….*A coast has tides and waves in winter\. Nothing.*…$/);
  assert.ok(line.length <= 142);
  assert.ok(text.replace(/\*|\(.*?\)|\[|\]/g, "").includes(`${line.slice(1, -1)} `), "whole words");
  assert.match(excerpt(text, new Set(["tides"])), /^Tides are measured\. /);
  assert.equal(excerpt(text, new Set(["nowhere"])), "");
  assert.equal(excerpt("短い。海の画像", new Set(["画像"])), "短い。海の画像");
  assert.match(excerpt(`${"深".repeat(500)}画像${"海".repeat(500)}`, new Set(["画像"])), /^…深+画像海+…$/);
});

test("a bucket depends on the first two characters", () => {
  assert.equal(bucket("a", 1024), 97);
  assert.equal(bucket("ab", 1024), (97 * 31 + 98) % 1024);
  assert.equal(bucket("abc", 1024), bucket("abd", 1024));
  assert.equal(bucket("\u{1d400}\u{1d401}", 1000), (0x1d400 * 31 + 0x1d401) % 1000);
  assert.equal(bucket("", 7), 0);
});

test("row lists are one row, or gaps or bits of the levels that have rows", () => {
  const lists = (/** @type {number[]} */ bytes, /** @type {number} */ total) => decodeRowLists(Uint8Array.from(bytes), total).map(({ rows, level }) => [level, [...rows]]);
  assert.deepEqual(lists([0, 3], 5), [[0, [3]]]);
  assert.deepEqual(lists([11, 0xac, 0x02], 301), [[11, [300]]]);
  assert.deepEqual(lists([12 + 2, 7, 0b10011], 5), [[1, [0, 1, 4]]]);
  assert.deepEqual(lists([12 + 1, 4, 0b10010], 5), [[0, [1, 4]]]); // gaps 1 and 2 in unary
  assert.deepEqual(lists([12 + 1, 4, 0b10100101, 0], 50), [[0, [2, 5]]]); // four lower bits each: 2 and 2
  assert.deepEqual(lists([0x8d, 0x10, 2, 0b0110, 2, 0b0100], 5), [[0, [3]], [11, [4]]]);
  assert.deepEqual(lists([12], 5), []);
});

for (const [name, bytes] of Object.entries({
  "no bytes": [],
  "a list that ends early": [13, 4, 0b10],
  "a list without rows": [13, 0],
  "a number that ends early": [1, 0x80],
  "a number without end": [13, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1],
  "a list longer than all rows": [13, 12, 0b111111],
  "four billion rows": [13, 0xff, 0xff, 0xff, 0xff, 0x0f],
  "a row beyond the last": [1, 5],
  "a gap beyond the last row": [13, 2, 0b100000],
  "bits that end early": [13, 3],
  "a level that there isn't": [0x8c, 0x20, 2, 0],
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
  assert.deepEqual((await index.search("wave nothing ", 5)).best, [0, 1, 2], "a word that no record has is left out");
  assert.deepEqual((await index.search("wave nothing ", 5)).dropped, ["nothing"]);
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

test("hand-written pages follow the records that have all words, and don't change which ones do", async (t) => {
  serve(t, files({ flow: [[], [], [4]], flowers: [[1], [], []], tide: [[0], [], [4]] }));
  const index = await loadIndex(ROOT);
  const similar = async () => [{ word: "flowers", edits: 1 }];
  assert.deepEqual((await index.search("tide ", 5)).best, [0, 4]);
  assert.deepEqual((await index.search("flowres ", 5, similar)).best, [1, 4]);
  assert.deepEqual((await index.search("flow ", 5)).best, [1, 4]);
  const { best, full, dropped } = await index.search("tide flow ", 5);
  assert.deepEqual([best, full, dropped], [[4, 0, 1], 1, ["tide", "flow"]]);
});

test("a half-typed word is completed, and one that nothing begins with is corrected", async (t) => {
  serve(t, files({ flow: [[0], [], []], flowers: [[1], [], []] }));
  const index = await loadIndex(ROOT);
  const similar = async () => [{ word: "flowers", edits: 1 }];
  assert.deepEqual((await index.search("flo", 5, similar)).best, [0, 1]);
  for (const typed of ["flowres", "flowres "]) {
    const { best, corrected } = await index.search(typed, 5, similar);
    assert.deepEqual([best, corrected], [[1, 0], "flowers"]);
  }
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

for (const changes of [{ counts: "$" }, { shards: null }, { start: -1 }, { start: [0] }, { lengths: "''~" }, { lengths: "' " }, { lengths: "'~~~#" }, { shards: "#~~~~~~#" }, { same: "#" }, { words: "tide" }]) {
  test(`a file of words with ${JSON.stringify(changes)} is an error`, async (t) => {
    serve(t, withWords(files({ tide: [[0], [], []], wave: [[1], [], []] }), changes));
    const index = await loadIndex(ROOT);
    await assert.rejects(index.search("tide wave ", 5), /damaged/);
  });
}
