// Words of similar spelling for query words without a match: those of names and tags, in small files by their first and second
// letter (catalog/site/spelling.py).

import { FileCache } from "./files.js";
import { decodeShort } from "./numbers.js";

/** @typedef {{ known: string, total: number }} KnownWord a word, and the number of records that have it */

const files = new FileCache();

/**
 * The known words that have a letter at a position.
 * @param {1 | 2} position
 * @param {string | undefined} letter
 * @param {URL} root
 * @returns {Promise<KnownWord[]>}
 */
function knownWords(position, letter, root) {
  const path = `catalog/words/${position}${/^[a-z0-9]$/.test(letter ?? "") ? letter : "_"}.json`;
  return files.get(new URL(path, root), async (response) => {
    const { words, counts } = await response.json();
    const totals = decodeShort(counts);
    return words ? words.split(" ").map((/** @type {string} */ known, /** @type {number} */ index) => ({ known, total: totals[index] })) : [];
  });
}

/**
 * The known words of similar spelling, the closest first, of these the most frequent.
 * @param {string} word
 * @param {number} slips the largest edit distance
 * @param {URL} root
 * @returns {Promise<{ word: string, edits: number }[]>}
 */
export async function similar(word, slips, root) {
  const letters = [...word];
  const lists = await Promise.all([knownWords(1, letters[0], root), knownWords(2, letters[1], root), knownWords(1, letters[1], root), knownWords(2, letters[0], root)]);
  /** @type {Map<string, KnownWord & { edits: number }>} */
  const found = new Map();
  for (const { known, total } of lists.flat()) {
    const edits = distance(letters, [...known], slips);
    if (edits > 0 && edits <= slips) found.set(known, { known, total, edits });
  }
  const nearest = [...found.values()].sort((a, b) => a.edits - b.edits || b.total - a.total || (a.known < b.known ? -1 : 1));
  return nearest.map(({ known, edits }) => ({ word: known, edits }));
}

/**
 * The edit distance of two words (insert, delete, replace, swap neighbours); `limit + 1` stands for all above `limit`.
 * @param {string[]} a
 * @param {string[]} b
 * @param {number} limit
 * @returns {number}
 */
export function distance(a, b, limit) {
  if (Math.abs(a.length - b.length) > limit) return limit + 1;
  /** @type {number[]} */
  let before = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    let lowest = i;
    for (let j = 1; j <= b.length; j++) {
      let cost = Math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) cost = Math.min(cost, before[j - 2] + 1);
      row.push(cost);
      lowest = Math.min(lowest, cost);
    }
    if (lowest > limit && Math.min(...last) > limit) return limit + 1;
    before = last;
    last = row;
  }
  return Math.min(last[b.length], limit + 1);
}
