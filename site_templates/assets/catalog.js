// What every page needs: tabs, copying, the search box. The browse page loads its own part.

import { startPrograms } from "./load.js";
import { startSearch } from "./search.js";

const CHOICE = "catalog.tab.";

/** Turn stacked sections into tabs: arrow keys move, the choice is remembered for all pages. A panel is told when it is
    shown, by the event "catalog:shown". */
function startTabs(box) {
  const panels = [...box.querySelectorAll(":scope > .cat-tab")];
  if (box.classList.contains("is-live") || panels.length < 2) return;
  const group = box.dataset.catalogTabs;
  const list = document.createElement("div");
  list.className = "cat-tabs__list";
  list.setAttribute("role", "tablist");
  list.setAttribute("aria-label", box.dataset.label ?? "Load this dataset with");
  const tabs = panels.map((panel, number) => {
    const tab = document.createElement("button");
    Object.assign(tab, { type: "button", id: `${group}-tab-${number}`, textContent: panel.dataset.tab });
    tab.setAttribute("role", "tab");
    panel.id = `${group}-panel-${number}`;
    panel.setAttribute("role", "tabpanel");
    panel.setAttribute("aria-labelledby", tab.id);
    tab.setAttribute("aria-controls", panel.id);
    list.append(tab);
    return tab;
  });
  const choose = (chosen, { focus = false } = {}) => {
    tabs.forEach((tab, number) => {
      tab.setAttribute("aria-selected", String(number === chosen));
      tab.tabIndex = number === chosen ? 0 : -1;
      panels[number].hidden = number !== chosen;
    });
    panels[chosen].dispatchEvent(new CustomEvent("catalog:shown"));
    if (focus) tabs[chosen].focus();
  };
  const keep = (number) => {
    try {
      localStorage.setItem(CHOICE + group, panels[number].dataset.tab);
    } catch { /* storage may be forbidden; then the choice lasts for this page */ }
  };
  list.addEventListener("click", (event) => {
    const number = tabs.indexOf(event.target);
    if (number >= 0) { choose(number); keep(number); }
  });
  list.addEventListener("keydown", (event) => {
    const here = tabs.indexOf(document.activeElement);
    const to = { ArrowRight: here + 1, ArrowLeft: here - 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const number = (to + tabs.length) % tabs.length;
    choose(number, { focus: true });
    keep(number);
  });
  let remembered = null;
  try { remembered = localStorage.getItem(CHOICE + group); } catch { /* as above */ }
  box.prepend(list);
  box.classList.add("is-live");
  choose(Math.max(0, panels.findIndex((panel) => panel.dataset.tab === remembered)));
}

/** Buttons that copy the text beside them. */
function startCopying(root) {
  for (const button of root.querySelectorAll("[data-copy]")) {
    if (!button.hidden) continue;
    button.hidden = false;
    const label = button.textContent;
    button.addEventListener("click", async () => {
      const source = button.parentElement.querySelector("[data-copy-source]");
      try {
        await navigator.clipboard.writeText(source.textContent);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(source);
        button.textContent = "Selected";
      }
      setTimeout(() => { button.textContent = label; }, 1600);
    });
  }
}

/** A text with what can't be seen made visible, as catalog/site/markup.py does it. Line breaks, tabs and joiners stay. */
const shown = (text) => String(text).replace(/(?![\n\t\u200c\u200d])[\p{C}\p{Zl}\p{Zp}\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\uffa0]/gu,
  (sign) => `⟨U+${sign.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`);

/** The record's own JSON, fetched when somebody wants to see it. */
function startRecord(details) {
  details.addEventListener("toggle", async () => {
    if (!details.open || details.dataset.live) return;
    details.dataset.live = "yes";
    const code = document.createElement("code");
    code.dataset.language = "json";
    code.textContent = "…";
    const pre = document.createElement("pre");
    pre.tabIndex = 0;
    pre.append(code);
    const frame = Object.assign(document.createElement("div"), { className: "highlight no-copy" });
    frame.append(pre);
    details.append(frame);
    try {
      const answer = await fetch(details.dataset.record);
      if (!answer.ok) throw new Error(String(answer.status));
      const { record, left_out: cut } = await answer.json();
      code.textContent = cut ? `It has ${cut.characters.toLocaleString("en")} characters, too many for this page. ${cut.at ?? ""}` : shown(JSON.stringify(record, null, 2));
    } catch { code.textContent = "It could not be loaded."; }
  });
}

/** The theme's script makes a landmark of each code block's buttons, and tables that scroll but can't be focused. */
function mendTheme() {
  const wide = new ResizeObserver((entries) => entries.forEach(({ target }) => {
    if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
    else target.removeAttribute("tabindex");
  }));
  const mend = () => {
    for (const nav of document.querySelectorAll("nav.md-code__nav")) {
      const box = document.createElement("div");
      box.className = nav.className;
      box.append(...nav.childNodes);
      nav.replaceWith(box);
    }
    document.querySelectorAll(".md-typeset__scrollwrap").forEach((wrap) => wide.observe(wrap));
  };
  mend();
  const content = document.querySelector(".md-content");
  if (content) new MutationObserver(mend).observe(content, { childList: true, subtree: true });
}

/** All shards of a dataset, from the record beside the page. */
function startShards(note) {
  const link = note.querySelector("a");
  const button = document.createElement("button");
  Object.assign(button, { type: "button", className: "cat-button", textContent: `Show all ${Number(note.dataset.shards).toLocaleString("en")}` });
  link.after(" ", button);
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      const { storage } = (await (await fetch(link.href)).json()).record;
      const all = storage.shards ?? storage.blobs ?? storage.urls ?? [];
      const body = note.parentElement.querySelector(".cat-shards tbody");
      const first = body.rows.length;
      for (const shard of all.slice(first)) {
        const row = body.insertRow();
        row.insertCell().textContent = shown(typeof shard === "string" ? shard
          : shard.url ?? (shard.key ? `s3://${storage.bucket}/${shard.key}` : shard.blob?.ref?.$link ?? ""));
        row.insertCell().append(Object.assign(document.createElement("code"), { textContent: shard.checksum ? shown(`${shard.checksum.algorithm}:${shard.checksum.digest}`) : "none" }));
      }
      note.remove();
      body.rows[first]?.scrollIntoView({ block: "nearest" });
    } catch { button.disabled = false; /* the link to the file stays */ }
  });
}

function start() {
  document.querySelectorAll("[data-shards]").forEach((note) => note.querySelector("button") ?? startShards(note));
  mendTheme();
  document.querySelectorAll("[data-ways]").forEach((box) => startPrograms(box, startCopying));
  document.querySelectorAll("[data-catalog-tabs]").forEach(startTabs);
  startCopying(document);
  if (document.querySelector("[data-code]")) import("./code.js").then((module) => module.startCode(startCopying));
  const network = document.querySelector("[data-network]");
  if (network) import("./network.js").then((module) => module.startNetwork(network));
  document.querySelectorAll("[data-record]").forEach(startRecord);
  document.querySelectorAll("[data-catalog-search]").forEach(startSearch);
  const browse = document.querySelector("[data-catalog-browse]");
  if (browse) import("./browse.js").then((module) => module.startBrowse(browse));
}

// Material's instant navigation swaps pages without loading them anew, and says so here.
if (window.document$) window.document$.subscribe(start);
else start();
