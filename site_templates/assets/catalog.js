// The script of every page: tabs, copy buttons, the record's JSON, the search box. Other scripts are loaded where a page needs them.

import { button, claim, element, find, withAttributes } from "./dom.js";
import { request } from "./files.js";
import { count, t } from "./language.js";
import { startPrograms } from "./load.js";
import { startSearch } from "./search.js";

const REMEMBERED = "catalog.tab.";

/**
 * Turn sections into tabs. Arrow keys move between them; the choice is remembered for all pages. The event "catalog:shown"
 * is sent to a panel when it is shown.
 * @param {HTMLElement} box
 */
function startTabs(box) {
  const panels = /** @type {HTMLElement[]} */ ([...box.querySelectorAll(":scope > .cat-tab")]);
  if (box.classList.contains("is-live") || panels.length < 2) return;
  const group = box.dataset.catalogTabs;
  const key = REMEMBERED + group;
  const list = withAttributes(element("div", "cat-tabs__list"), { role: "tablist", "aria-label": box.dataset.label ?? t("Load this dataset with") });
  const tabs = panels.map((panel, number) => {
    const tab = withAttributes(button("", panel.dataset.tab ?? ""), { id: `${group}-tab-${number}`, role: "tab", "aria-controls": `${group}-panel-${number}` });
    withAttributes(panel, { id: `${group}-panel-${number}`, role: "tabpanel", "aria-labelledby": tab.id });
    list.append(tab);
    return tab;
  });
  const choose = (/** @type {number} */ chosen) => {
    tabs.forEach((tab, number) => {
      tab.setAttribute("aria-selected", String(number === chosen));
      tab.tabIndex = number === chosen ? 0 : -1;
      panels[number].hidden = number !== chosen;
    });
    panels[chosen].dispatchEvent(new CustomEvent("catalog:shown"));
  };
  const remember = (/** @type {number} */ number) => {
    try {
      localStorage.setItem(key, panels[number].dataset.tab ?? "");
    } catch { /* storage may be forbidden; then the choice lasts for this page */ }
  };
  list.addEventListener("click", (event) => {
    const number = tabs.findIndex((tab) => tab === event.target);
    if (number < 0) return;
    choose(number);
    remember(number);
  });
  list.addEventListener("keydown", (event) => {
    const here = tabs.findIndex((tab) => tab === document.activeElement);
    const to = new Map([["ArrowRight", here + 1], ["ArrowLeft", here - 1], ["Home", 0], ["End", tabs.length - 1]]).get(event.key);
    if (to === undefined) return;
    event.preventDefault();
    const number = (to + tabs.length) % tabs.length;
    choose(number);
    tabs[number].focus();
    remember(number);
  });
  /** @type {string | null} */
  let remembered = null;
  try {
    remembered = localStorage.getItem(key);
  } catch { /* as above */ }
  box.prepend(list);
  box.classList.add("is-live");
  choose(Math.max(0, panels.findIndex((panel) => panel.dataset.tab === remembered)));
}

/**
 * Add a button to each text that can be copied: in the frame of a block of code, after a short text.
 * @param {ParentNode} root
 */
function startCopying(root) {
  for (const source of /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll("[data-copy-source]"))) {
    if (!claim(source)) continue;
    const label = t("Copy");
    const copy = button("cat-copy", label);
    const frame = source.closest(".cat-code");
    if (frame) frame.prepend(copy);
    else source.after(" ", copy);
    copy.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(source.textContent ?? "");
        copy.textContent = t("Copied");
      } catch {
        getSelection()?.selectAllChildren(source);
        copy.textContent = t("Selected");
      }
      setTimeout(() => { copy.textContent = label; }, 1600);
    });
  }
}

/**
 * A text with invisible characters made visible, as catalog/site/markup.py does it. Line breaks, tabs and joiners stay.
 * @param {string} text
 * @returns {string}
 */
function visible(text) {
  // eslint-disable-next-line no-misleading-character-class
  return text.replace(/(?![\n\t\u200c\u200d])[\p{C}\p{Zl}\p{Zp}\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\uffa0]/gu,
    (character) => `⟨U+${Number(character.codePointAt(0)).toString(16).toUpperCase().padStart(4, "0")}⟩`);
}

/**
 * Load the JSON of the record when its section is opened.
 * @param {HTMLDetailsElement} details
 */
function startRecord(details) {
  details.addEventListener("toggle", async () => {
    if (!details.open || !claim(details)) return;
    const code = element("code", "", "…");
    code.dataset.language = "json";
    const pre = element("pre");
    pre.tabIndex = 0;
    pre.append(code);
    const frame = element("div", "highlight no-copy");
    frame.append(pre);
    details.append(frame);
    try {
      const { record, left_out: omitted } = await (await request(String(details.dataset.record))).json();
      code.textContent = omitted
        ? `${t("It has {n} characters, too many for this page.", { n: count(omitted.characters) })} ${omitted.at ?? ""}`
        : visible(JSON.stringify(record, null, 2));
    } catch { code.textContent = t("It could not be loaded."); }
  });
}

/** Fix the theme's accessibility: a landmark for the buttons of each code block, and scrolling tables without focus. */
function fixTheme() {
  const wide = new ResizeObserver((entries) => entries.forEach(({ target }) => {
    if (target.scrollWidth > target.clientWidth) target.setAttribute("tabindex", "0");
    else target.removeAttribute("tabindex");
  }));
  const fix = () => {
    for (const nav of document.querySelectorAll("nav.md-code__nav")) {
      const box = element("div", nav.className);
      box.append(...nav.childNodes);
      nav.replaceWith(box);
    }
    document.querySelectorAll(".md-typeset__scrollwrap").forEach((wrap) => wide.observe(wrap));
  };
  fix();
  const content = document.querySelector(".md-content");
  if (content) new MutationObserver(fix).observe(content, { childList: true, subtree: true });
}

/** @typedef {{ url?: string, key?: string, blob?: { ref?: { $link?: string } }, checksum?: { algorithm: string, digest: string } }} Shard */

/**
 * The button that shows all shards of a dataset, from the record beside the page.
 * @param {HTMLElement} note
 */
function startShards(note) {
  const link = /** @type {HTMLAnchorElement} */ (find(note, "a"));
  const show = button("cat-button", t("Show all {n}", { n: count(Number(note.dataset.shards)) }));
  link.after(" ", show);
  show.addEventListener("click", async () => {
    show.disabled = true;
    try {
      const { storage } = (await (await request(link.href)).json()).record;
      /** @type {(string | Shard)[]} */
      const shards = storage.shards ?? storage.blobs ?? storage.urls ?? [];
      const body = /** @type {HTMLTableSectionElement} */ (find(/** @type {HTMLElement} */ (note.parentElement), ".cat-shards tbody"));
      const first = body.rows.length;
      for (const shard of shards.slice(first)) {
        const { url, key, blob, checksum } = typeof shard === "string" ? /** @type {Shard} */ ({ url: shard }) : shard;
        const row = body.insertRow();
        row.insertCell().textContent = visible(url ?? (key ? `s3://${storage.bucket}/${key}` : blob?.ref?.$link ?? ""));
        row.insertCell().append(element("code", "", checksum ? visible(`${checksum.algorithm}:${checksum.digest}`) : t("none")));
      }
      note.remove();
      body.rows[first]?.scrollIntoView({ block: "nearest" });
    } catch { show.disabled = false; /* the link to the file stays */ }
  });
}

/**
 * Call a function for each element of the page that matches a selector.
 * @param {string} selector
 * @param {(target: any) => void} call
 */
function each(selector, call) {
  document.querySelectorAll(selector).forEach((target) => call(target));
}

function start() {
  each("[data-shards]", (/** @type {HTMLElement} */ note) => { if (!note.querySelector("button")) startShards(note); });
  fixTheme();
  each("[data-ways]", (/** @type {HTMLElement} */ box) => startPrograms(box, startCopying));
  each("[data-catalog-tabs]", startTabs);
  startCopying(document);
  each("[data-record]", startRecord);
  each("[data-catalog-search]", startSearch);
  if (document.querySelector("[data-code]")) import("./code.js").then((module) => module.startCode(startCopying));
  const rows = /** @type {HTMLElement | null} */ (document.querySelector("[data-viewer]"));
  if (rows) import("./rows.js").then((module) => module.startRows(rows));
  const network = /** @type {HTMLElement | null} */ (document.querySelector("[data-network]"));
  if (network) import("./network.js").then((module) => module.startNetwork(network));
  const browse = /** @type {HTMLElement | null} */ (document.querySelector("[data-catalog-browse]"));
  if (browse) import("./browse.js").then((module) => module.startBrowse(browse));
}

// Instant navigation of Material for MkDocs replaces the page without loading scripts again; document$ announces each page.
const pages = /** @type {{ document$?: { subscribe: (listener: () => void) => void } }} */ (/** @type {unknown} */ (window)).document$;
if (pages) pages.subscribe(start);
else start();
