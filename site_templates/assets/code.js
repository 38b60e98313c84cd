// The code tabs of a schema: the page contains Python; the other languages are files beside it, loaded when a tab is chosen.

import { claim, element, find } from "./dom.js";
import { request } from "./files.js";
import { codeBlock } from "./highlight.js";
import { t } from "./language.js";

/** @type {Record<string, string>} */
const LANGUAGES = { py: "python", ts: "typescript", rs: "rust", json: "json" };

/**
 * @param {(root: ParentNode) => void} startCopying
 */
export function startCode(startCopying) {
  for (const panel of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-code]"))) {
    if (!claim(panel)) continue;
    const shown = () => fill(panel, startCopying);
    if (panel.hidden) panel.addEventListener("catalog:shown", shown, { once: true });
    else shown(); // a remembered tab, chosen before this script was loaded
  }
}

/**
 * @param {HTMLElement} panel
 * @param {(root: ParentNode) => void} startCopying
 */
async function fill(panel, startCopying) {
  const note = find(panel, ".cat-install");
  const address = String(panel.dataset.code);
  try {
    const source = await (await request(address)).text();
    note.before(codeBlock(source, LANGUAGES[String(address.split(".").pop())]));
    startCopying(panel);
  } catch {
    const message = element("span", "", `${t("It could not be loaded.")} `); // the link to the file stays
    note.prepend(message);
    panel.addEventListener("catalog:shown", () => { message.remove(); fill(panel, startCopying); }, { once: true });
  }
}
