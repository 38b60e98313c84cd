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

/** The matches for a term, best first; none for an empty one. */
export async function findText(term) {
  const words = term.trim();
  if (!words) return { results: [], instead: "" };
  const pagefind = await loadText();
  return { results: (await pagefind.search(words)).results, instead: "" };
}

/** The number of a match's page in the index (see catalog/site/indexer.py): first come the rows of the browse page. */
export function rowOf({ id }) {
  return Number.parseInt(id.split("-").pop(), 36);
}
