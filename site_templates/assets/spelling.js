// Spelling correction for query words without a match: the closest word of a name, publisher, schema or tag, at most one
// edit away (two for long words). The words are in small files by their first and second letter (catalog/site/spelling.py).

import { FileCache } from "./files.js";
import { decodeShort } from "./table.js";

const MIN_LENGTH = 4;
const LONG = 8;
const MAX_LENGTH = 40;

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
 * The closest known word, the most frequent one among equals; null if none is close, or if the word itself is known.
 * @param {string} typed
 * @param {URL} root
 * @returns {Promise<string | null>}
 */
export async function corrected(typed, root) {
  const word = [...typed.toLowerCase()];
  if (word.length < MIN_LENGTH || word.length > MAX_LENGTH) return null;
  const limit = word.length >= LONG ? 2 : 1;
  const lists = await Promise.all([knownWords(1, word[0], root), knownWords(2, word[1], root), knownWords(1, word[1], root), knownWords(2, word[0], root)]);
  /** @type {KnownWord & { edits: number } | null} */
  let best = null;
  for (const { known, total } of lists.flat()) {
    const edits = distance(word, [...known], limit);
    if (edits === 0) return null;
    if (edits > limit) continue;
    const better = !best || edits < best.edits || (edits === best.edits && (total > best.total || (total === best.total && known < best.known)));
    if (better) best = { known, total, edits };
  }
  return best?.known ?? null;
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
