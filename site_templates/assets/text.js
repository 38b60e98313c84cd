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
  if (!words) return [];
  const pagefind = await loadText();
  return (await pagefind.search(words)).results;
}
