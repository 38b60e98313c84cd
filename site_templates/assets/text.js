// Text search for the search box and the browse page, with spelling correction. The index loads on first use.

import { FileCache } from "./files.js";
import { excerpt, pieces } from "./marks.js";
import { loadIndex } from "./textindex.js";

export const ROOT = new URL("../../", import.meta.url);

/** @typedef {import("./textindex.js").Result} Result */
/** @typedef {import("./textindex.js").Found & { instead: string, index: import("./textindex.js").Index }} FoundRows */
/** @typedef {{ results: Result[], total: number, instead: string, full: number, dropped: string[], terms: Set<string> }} FoundResults */

/** @type {ReturnType<typeof loadIndex> | undefined} */
let loading;
const records = new FileCache();

/**
 * The index, loaded once; a failed request is tried again with the next call.
 * @returns {ReturnType<typeof loadIndex>}
 */
export function loadText() {
  loading ??= loadIndex(ROOT);
  loading.catch(() => { loading = undefined; });
  return loading;
}

/**
 * The `rows` of the browse page that a query finds, ascending (hand-written pages come after the last row), and the `best` of
 * them: `full` with every word, then those that lack some of `dropped`. Misspelt words are corrected, and `instead` is the
 * corrected query; not so with `exactly`. `index.shownOf(row)` reads the result of a row. Scripts of other projects may import
 * this function.
 * @param {string} query
 * @param {number} limit
 * @param {boolean} [exactly]
 * @returns {Promise<FoundRows>}
 */
export async function findText(query, limit, exactly = false) {
  const index = await loadText();
  const found = await index.search(query, limit, exactly ? undefined : async (word, slips) => {
    const { similar } = await import("./spelling.js");
    return similar(word, slips, ROOT);
  });
  const instead = (found.corrected ?? "").replace(/(?<=\p{L})σ(?= |$)/gu, "ς"); // as Greek is written; the index has only σ
  return { ...found, instead: found.rows.length ? instead : "", index };
}

/**
 * The best results of a query, and the number of all.
 * @param {string} query
 * @param {number} limit
 * @param {boolean} [exactly]
 * @returns {Promise<FoundResults>}
 */
export async function findResults(query, limit, exactly = false) {
  const { rows, best, instead, index, full, dropped, terms } = await findText(query, limit, exactly);
  return { results: await Promise.all(best.map((row) => index.shownOf(row))), total: rows.length, instead, full, dropped, terms };
}

/**
 * The line of a result's description that has what matches; "" if its summary has it, or nothing else does. It is read from the
 * record of the result.
 * @param {Result} result
 * @param {Set<string>} terms
 * @returns {Promise<string>}
 */
export async function lineOf({ address, kind, summary }, terms) {
  const begun = summary.endsWith("…") && !pieces(summary, terms).some(({ match }) => match);
  if (!begun || kind === "page" || /^https?:/.test(address)) return "";
  const description = await records.get(new URL(`${address}index.json`, ROOT), async (response) => (await response.json()).record.description);
  return excerpt(typeof description === "string" ? description : "", terms);
}
