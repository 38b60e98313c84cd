// Text search for the search box and the browse page, with spelling correction. The index loads on first use.

import { loadIndex, words } from "./textindex.js";

export const ROOT = new URL("../../", import.meta.url);

/** @typedef {import("./textindex.js").Result} Result */
/** @typedef {{ rows: Uint32Array, best: number[], instead: string, index: import("./textindex.js").Index }} FoundRows */
/** @typedef {{ results: Result[], total: number, instead: string }} FoundResults */

/** @type {ReturnType<typeof loadIndex> | undefined} */
let loading;

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
 * The `rows` of the browse page that have all words of a query, ascending (hand-written pages come after the last row),
 * and the `best` of them. If nothing matches, the query is repeated with corrected spelling, which `instead` returns; not
 * so with `exactly`. `index.shownOf(row)` reads the result of a row. Scripts of other projects may import this function.
 * @param {string} query
 * @param {number} limit
 * @param {boolean} [exactly]
 * @returns {Promise<FoundRows>}
 */
export async function findText(query, limit, exactly = false) {
  const index = await loadText();
  const found = { ...await index.search(query, limit), instead: "", index };
  const typed = words(query);
  if (exactly || found.rows.length || !typed.length) return found;
  const { corrected } = await import("./spelling.js");
  const right = await Promise.all(typed.map(async (word) => ((await index.has(word)) ? word : (await corrected(word, ROOT).catch(() => null)) ?? word)));
  if (right.join(" ") === typed.join(" ")) return found;
  const instead = right.join(" ").replace(/(?<=\p{L})σ(?= |$)/gu, "ς"); // as Greek is written; the index has only σ
  const better = await index.search(instead, limit);
  return better.rows.length ? { ...better, instead, index } : found;
}

/**
 * The best results of a query, and the number of all.
 * @param {string} query
 * @param {number} limit
 * @param {boolean} [exactly]
 * @returns {Promise<FoundResults>}
 */
export async function findResults(query, limit, exactly = false) {
  const { rows, best, instead, index } = await findText(query, limit, exactly);
  return { results: await Promise.all(best.map((row) => index.shownOf(row))), total: rows.length, instead };
}
