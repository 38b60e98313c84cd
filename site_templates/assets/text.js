// The text index, loaded with the first typed letter. Never asked without a term: that would load all of it.

export const ROOT = new URL("../../", import.meta.url);

let engine;

/** Load the index's code; later calls get the same. */
export function loadText() {
  engine ??= import(new URL("catalog/text/pagefind.js", ROOT).href).then(async (pagefind) => {
    await pagefind.options({ baseUrl: ROOT.pathname, excerptLength: 18 });
    await pagefind.init();
    return pagefind;
  });
  engine.catch(() => { engine = undefined; });
  return engine;
}

/** The matches for a term, best first; none for an empty one. Where a word finds nothing, `instead` is the term with the
    words that were probably meant, and the matches are its. */
export async function findText(term) {
  const asked = term.trim();
  if (!asked) return { results: [], instead: "" };
  const pagefind = await loadText();
  const { results } = await pagefind.search(asked);
  if (results.length) return { results, instead: "" };
  const { meant } = await import("./spelling.js");
  const words = await Promise.all(asked.split(/[^\p{L}\p{N}]+/u).filter(Boolean).map(async (word) => {
    if ((await pagefind.search(word)).results.length) return word;
    return (await meant(word, ROOT).catch(() => null)) ?? word;
  }));
  const instead = words.join(" ");
  if (instead.toLowerCase() === asked.toLowerCase()) return { results, instead: "" };
  const better = (await pagefind.search(instead)).results;
  return better.length ? { results: better, instead } : { results, instead: "" };
}

/** The number of a match's page in the index (see catalog/site/indexer.py): first come the rows of the browse page. */
export function rowOf({ id }) {
  return Number.parseInt(id.split("-").pop(), 36);
}
