// The programs that load a dataset. The page shows the first; the others are text in the page, or a file beside the schema's
// page, written for an example dataset. Its name, URI and shard are replaced by this dataset's when a tab is chosen.

import { element, find } from "./dom.js";
import { FileCache } from "./files.js";
import { t } from "./language.js";

// The example of catalog/site/load_code.py.
const NAME = "The dataset";
const URI = "at://did:plc:exampleexampleexample234/science.alt.dataset.entry/3exampleexamp";
const SHARD = "https://shards.example/dataset-000000.tar";
const MAX_SHARDS = 20;

/** @typedef {{ label: string, language: string, install: string, code: string }} Program */
/** @typedef {{ name: string, uri: string, shards: string[] }} Dataset */

const files = new FileCache();

/**
 * Add a tab for each program. The link to the file of programs becomes hidden, as the tabs replace it.
 * @param {HTMLElement} box
 * @param {(root: ParentNode) => void} startCopying
 */
export function startPrograms(box, startCopying) {
  if (box.classList.contains("is-live") || !box.parentElement) return;
  const still = find(box.parentElement, ".cat-still");
  const link = /** @type {HTMLAnchorElement | null} */ (still.querySelector("a"));
  const own = still.querySelector("[data-programs]")?.textContent; // else written for an example
  for (const label of String(box.dataset.ways).split(",").filter(Boolean)) {
    const panel = element("section", "cat-tab");
    panel.dataset.tab = label;
    panel.append(element("h3", "", label), element("p", "cat-install", "…"));
    panel.addEventListener("catalog:shown", () => { fill(panel, label); }, { once: true });
    box.append(panel);
  }
  still.hidden = true;

  /**
   * @param {HTMLElement} panel
   * @param {string} label
   */
  async function fill(panel, label) {
    try {
      const text = (/** @type {Response} */ response) => response.text();
      const [file, record, { codeBlock }] = await Promise.all([
        own ?? files.get(String(link?.href), text),
        own ? null : files.get(new URL("index.json", location.href), text),
        import("./highlight.js"),
      ]);
      const program = programs(file).find((other) => other.label === label);
      if (!program) throw new Error(`no program for ${label}`);
      const code = record === null ? program.code : filled(program.code, dataset(record));
      const install = element("p", "cat-install");
      install.append(element("code", "", program.install));
      panel.replaceChildren(element("h3", "", label), install, codeBlock(code, program.language));
    } catch {
      const plainLink = element("a", "", t("As text"));
      plainLink.href = link?.href ?? "";
      find(panel, "p").replaceChildren(t("It could not be loaded."), " ", ...(link ? [plainLink] : []));
    }
    startCopying(panel);
  }
}

/**
 * The programs of a file. Each begins with "=== label: install command" and an empty line.
 * @param {string} text
 * @returns {Program[]}
 */
export function programs(text) {
  return text.split(/^=== /m).slice(1).map((part) => {
    const head = part.slice(0, part.indexOf("\n"));
    const code = part.slice(part.indexOf("\n") + 2);
    const [label, install] = [head.slice(0, head.indexOf(":")), head.slice(head.indexOf(":") + 2)];
    return { label, language: label === "TypeScript" ? "typescript" : "python", install, code: `${code.trimEnd()}\n` };
  });
}

/**
 * @param {string} json the content of index.json beside the page
 * @returns {Dataset}
 */
function dataset(json) {
  const { uri, record } = JSON.parse(json);
  /** @type {{ url: string }[]} */
  const shards = record.storage.shards;
  return { name: find(document, "h1").textContent ?? "", uri, shards: shards.map(({ url }) => url).filter((url) => /^https?:\/\//.test(url)) };
}

/**
 * A program with the values of a dataset in place of the example's. They are data in a comment or between quotes, never code.
 * @param {string} code
 * @param {Dataset} values
 * @returns {string}
 */
export function filled(code, { name, uri, shards }) {
  const more = shards.length > MAX_SHARDS && code.includes(SHARD) ? [`the first ${MAX_SHARDS} of ${shards.length} shards`] : [];
  return code.split("\n").flatMap((line) => {
    const comment = line.match(/^( *(?:#|\/\/) )(.*)$/);
    if (comment && comment[2] === NAME) return [name, ...more].map((text) => comment[1] + text);
    if (line.trim() === `"${SHARD}",`) return shards.slice(0, MAX_SHARDS).map((url) => line.replace(SHARD, () => quotable(url)));
    return [line.replaceAll(URI, () => uri)];
  }).join("\n");
}

/**
 * A URL with every unusual character percent-encoded, so that it can be between quotes in any language.
 * @param {string} url
 * @returns {string}
 */
export function quotable(url) {
  return url.replace(/[^A-Za-z0-9~:/?#@&()*+,;=%._-]/gu, (character) =>
    character === "!" ? "%21" : character === "'" ? "%27" : encodeURIComponent(character.toWellFormed ? character.toWellFormed() : character));
}
