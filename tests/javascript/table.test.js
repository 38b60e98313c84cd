import assert from "node:assert/strict";
import { test } from "node:test";

import { decodeDigits, decodeShort } from "../../site_templates/assets/numbers.js";
import { decodeColumn, loadTable } from "../../site_templates/assets/table.js";
import { ROOT, serve } from "./served.js";

const DIGITS = Array.from({ length: 92 }, (_, place) => String.fromCharCode(35 + place)).filter((digit) => digit !== "\\").join("");

/**
 * Numbers of variable length, written digit by digit as catalog/site/facets.py documents them.
 * @param {number[]} numbers
 */
function short(...numbers) {
  return numbers.map((number) => {
    let text = "";
    let rest = number;
    for (; rest >= 60; rest = Math.floor((rest - 60) / 31)) text += DIGITS[60 + (rest - 60) % 31];
    return text + DIGITS[rest];
  }).join("");
}

/** Four rows: two datasets, a schema, a lens. */
function files() {
  return {
    "catalog/facets.json": {
      version: "0123abc", length: 4, chunk: 2, sections: ["datasets", "schemas", "lenses"],
      facets: {
        kind: { words: ["dataset", "schema", "lens"], totals: short(2, 1, 1), column: short(1, 1, 2, 3) },
        tag: { words: ["sea", "sky"], totals: short(2, 1), column: { counts: short(2, 1, 0, 0), steps: { 0: [], 1: [short(0)], 2: [short(0), short(0)] } } },
        licence: { words: ["MIT"], totals: short(1), column: short(1, 0, 0, 0) },
        publisher: { words: ["alice"], totals: short(4) },
        schema: { words: ["Wave 1.0.0 · alice", "Wave 2.0.0"], totals: short(1, 1), column: short(1, 2, 0, 0) },
        dtype: { words: ["float32", "uint8"], totals: short(2, 1), column: { of: "schema", says: { counts: short(2, 1), steps: { 1: [short(0)], 2: [short(0), short(0)] } } } },
        size: { words: ["under 1 MB"], totals: short(0), column: short(0, 0, 0, 0) },
        state: { words: ["verified"], totals: short(4), column: short(1, 1, 1, 1) },
        updated: { words: ["2026-02", "2026-01"], totals: short(1, 3), column: short(1, 2, 2, 2) },
      },
    },
    "catalog/columns/publisher.json": JSON.stringify(short(1, 1, 1, 1)),
    "catalog/orders/name.json": [short(2, 1, 3, 3)],
    "catalog/rows/0.json": {
      name: ["Tides", "Waves"], bytes: [1000, -1], samples: [7, -1], day: [20000, -1], folders: ["did-plc-a"], folder: [0, 0], place: ["3ka", "3kb"],
      ends: { 1: "A → B" }, tag: [[0, 1], [0]], kind: [0, 0], publisher: [0, 0], licence: [0, -1], schema: [0, 1], state: [0, 0],
    },
  };
}

for (const number of [0, 59, 60, 61, 90, 91, 1919, 1920, 6000, 2 ** 31]) {
  test(`${number} is read back`, () => assert.deepEqual([...decodeShort(short(number, 5, number))], [number, 5, number]));
}

test("numbers of fixed length have one text a digit", () => {
  assert.deepEqual([...decodeDigits([DIGITS[1] + DIGITS[90], DIGITS[2] + DIGITS[0]])], [1 + 2 * 91, 90]);
});

for (const text of ["\\", " ", "\x7f", "é", "🙂", DIGITS[60], DIGITS[90].repeat(12) + DIGITS[0], short(2 ** 32), `${DIGITS[1]}"`]) {
  test(`${JSON.stringify(text)} is no number`, () => assert.throws(() => decodeShort(text), /damaged/));
}

test("digits of different lengths are an error", () => assert.throws(() => decodeDigits(["###", "##"]), /damaged/));

test("a column has the words of each row", () => {
  const { starts, numbers } = decodeColumn({ counts: short(2, 0, 1, 2), steps: { 0: [], 1: [short(3)], 2: [short(0, 1), short(4, 0)] } }, 4);
  assert.deepEqual([...starts], [0, 2, 2, 3, 5]);
  assert.deepEqual([...numbers], [0, 5, 3, 1, 2]);
});

for (const [name, column] of /** @type {[string, any][]} */ (Object.entries({
  "too few rows": short(1),
  "too many rows": short(1, 1, 1),
  "counts of too few rows": { counts: short(1), steps: { 1: [short(0)] } },
  "no numbers": { counts: short(1, 1), steps: {} },
  "too few numbers": { counts: short(1, 1), steps: { 1: [short(0)] } },
  "a text too few": { counts: short(2, 0), steps: { 2: [short(0)] } },
  "a billion words": { counts: short(1_000_000_000, 0), steps: {} },
  "numbers that are no list": { counts: short(1, 1), steps: { 1: "##" } },
}))) {
  test(`a damaged column is an error: ${name}`, () => assert.throws(() => decodeColumn(column, 2), /damaged/));
}

test("choices filter the rows, and count what each further choice would leave", async (t) => {
  serve(t, files());
  const table = await loadTable(ROOT);
  await table.need(["kind", "licence", "tag"]);
  assert.deepEqual(table.filter({}, null, []).rows, [0, 1, 2, 3]);
  const { rows, counts } = table.filter({ kind: new Set(["dataset"]) }, null, ["kind", "licence", "tag"]);
  assert.deepEqual(rows, [0, 1]);
  assert.deepEqual([...counts.kind], [2, 1, 1], "choices within a facet are alternatives");
  assert.deepEqual([...counts.licence], [1]);
  assert.deepEqual([...counts.tag], [2, 1]);
  assert.deepEqual(table.filter({ kind: new Set(["schema", "lens"]) }, null, []).rows, [2, 3]);
  assert.deepEqual(table.filter({ tag: new Set(["sea", "sky"]) }, null, []).rows, [0], "tags are not alternatives");
  assert.deepEqual(table.filter({ kind: new Set(["dataset"]) }, new Set([1, 2]), []).rows, [1]);
  assert.deepEqual(table.filter({ kind: new Set(["unknown"]) }, null, []).rows, []);
});

test("a schema without version matches all of its versions, a year its months", async (t) => {
  serve(t, files());
  const table = await loadTable(ROOT);
  await table.need(["schema", "updated", "dtype"]);
  assert.deepEqual(table.filter({ schema: new Set(["Wave 1.0.0"]) }, null, []).rows, [0]);
  assert.deepEqual(table.filter({ updated: new Set(["2026"]) }, null, []).rows, [0, 1, 2, 3]);
  assert.deepEqual(table.filter({ updated: new Set(["2026-02"]) }, null, []).rows, [0]);
  assert.deepEqual(table.filter({ dtype: new Set(["uint8"]) }, null, []).rows, [0], "a dataset has the array types of its schema");
});

test("more months than two years are offered as years", async (t) => {
  const served = files();
  const months = Array.from({ length: 25 }, (_, place) => `${2026 - Math.floor(place / 12)}-${String(12 - place % 12).padStart(2, "0")}`);
  served["catalog/facets.json"].facets.updated = { words: months, totals: short(...months.map(() => 1)), column: short(1, 13, 25, 0) };
  serve(t, served);
  const table = await loadTable(ROOT);
  await table.need(["updated"]);
  assert.deepEqual(table.facets.updated.words, ["2026", "2025", "2024"]);
  assert.deepEqual([...table.facets.updated.totals], [12, 12, 1]);
  assert.deepEqual(table.filter({ updated: new Set(["2025"]) }, null, []).rows, [1]);
  assert.deepEqual(table.filter({ updated: new Set(["2025-12"]) }, null, []).rows, [1]);
});

for (const length of [-1, 2.5, "4", null, 5_000_001]) {
  test(`a table of ${length} rows is an error`, async (t) => {
    const served = files();
    serve(t, { ...served, "catalog/facets.json": { ...served["catalog/facets.json"], length } });
    await assert.rejects(loadTable(ROOT), /damaged/);
  });
}

test("a large column is a file of its own, requested once", async (t) => {
  const requested = serve(t, files());
  const table = await loadTable(ROOT);
  assert.equal(table.loaded("publisher"), false);
  await table.need(["publisher"]);
  await table.need(["publisher"]);
  assert.deepEqual(requested, ["catalog/facets.json", "catalog/columns/publisher.json"]);
  assert.deepEqual(table.filter({ publisher: new Set(["alice"]) }, null, []).rows, [0, 1, 2, 3]);
});

test("orders are steps from row to row", async (t) => {
  serve(t, files());
  assert.deepEqual([...await (await loadTable(ROOT)).order("name")], [1, 2, 1, 0]);
});

test("details are known once their chunk is loaded", async (t) => {
  serve(t, files());
  const table = await loadTable(ROOT);
  assert.equal(table.known(1), undefined);
  assert.deepEqual(await table.details(0), {
    name: "Tides", address: "datasets/did-plc-a/3ka/", kind: "dataset", publisher: "alice", licence: "MIT", schema: "Wave 1.0.0 · alice", state: "verified", ends: "",
    tags: ["sea", "sky"], bytes: 1000, samples: 7, day: 20000,
  });
  assert.deepEqual([table.known(1)?.name, table.known(1)?.licence, table.known(1)?.ends], ["Waves", "", "A → B"]);
  await assert.rejects(table.details(2), /404/);
});
