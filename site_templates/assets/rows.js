// The row viewer of a dataset’s page, before it is opened: a button that names the hosts. Nothing is requested from them before.

import { button, claim, element, find } from "./dom.js";
import { count, t } from "./language.js";

/**
 * hosts: those of the shards; allowed: whether the site’s owner lets pages request them unasked; total: the number of samples.
 * shards: their addresses, if the record has a pattern.
 * @typedef {{ format: string, shards?: string[], hosts: string[], allowed: boolean, total: number | null, index: string | null, pds: string | null }} RowSettings
 */

/** The number of the sample that the page’s address names, or null. */
export function rowOfAddress() {
  const found = /^#row-(\d{1,12})$/.exec(location.hash);
  return found ? Number(found[1]) : null;
}

/** @param {HTMLElement} section */
export function startRows(section) {
  if (!claim(section)) return;
  /** @type {RowSettings} */
  const settings = JSON.parse(String(section.dataset.viewer));
  const { hosts } = settings;
  const names = hosts.length > 3 ? t("{hosts} and {n} more hosts", { hosts: hosts.slice(0, 2).join(", "), n: hosts.length - 2 }) : hosts.join(", ");
  const first = rowOfAddress();
  const open = button("cat-button", first === null ? t("Show samples from {hosts}", { hosts: names }) : t("Show sample {n} from {hosts}", { n: count(first), hosts: names }));
  const note = element("p", "cat-quiet", t("Your browser then reads parts of the files from there, about 100 kB at first, without cookies."));
  const box = element("div", "cat-viewer__start");
  box.append(open, note);
  section.append(box);
  section.hidden = false;

  async function show() {
    open.disabled = true;
    try {
      const { openViewer } = await import("./viewer.js");
      await openViewer(section, settings);
      box.remove();
      find(section, ".cat-viewer").focus();
    } catch (error) {
      open.disabled = false;
      note.textContent = error instanceof Error ? error.message : String(error);
    }
  }
  open.addEventListener("click", show);
  if (settings.allowed) {
    const watcher = new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      watcher.disconnect();
      show();
    });
    watcher.observe(section);
  }
  if (first !== null) section.scrollIntoView();
}
