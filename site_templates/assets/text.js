// Text search for the box in the header and for the browse page: the index, fetched with the first typed letter, and words
// set right that nothing has.

import { loadIndex, words } from "./textindex.js";

export const ROOT = new URL("../../", import.meta.url);

let index;

/** Load the index; later calls get the same. */
export function loadText() {
  index ??= loadIndex(ROOT);
  index.catch(() => { index = undefined; });
  return index;
}

/** The matches for a term: the `rows` of the browse page that have all its words, ascending (hand-written pages come after
    them), and the `best` of them. Where a word finds nothing, `instead` is the term with the words that were probably meant,
    and the matches are its; not so with `exactly`. */
export async function findText(term, most = 0, exactly = false) {
  const text = await loadText();
  const found = { ...await text.search(term, most), instead: "", index: text };
  if (exactly || found.rows.length || !words(term).length) return found;
  const { meant } = await import("./spelling.js");
  const asked = words(term);
  const right = await Promise.all(asked.map(async (word) => ((await text.has(word)) ? word : (await meant(word, ROOT).catch(() => null)) ?? word)));
  const instead = right.join(" ");
  if (instead === asked.join(" ")) return found;
  const better = await text.search(instead, most);
  return better.rows.length ? { ...better, instead, index: text } : found;
}
