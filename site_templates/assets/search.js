// The box in the header: a combobox over the text index. "/" opens it, arrows walk, Enter goes, Escape leaves.

import { findText, loadText, ROOT } from "./text.js";

const SHOWN = 8;
const PAUSE = 90;

export function startSearch(box) {
  if (box.dataset.live) return;
  box.dataset.live = "yes";
  const input = box.querySelector("input");
  const panel = box.querySelector(".cat-search__panel");
  const note = box.querySelector(".cat-search__note");
  const list = box.querySelector("[role=listbox]");
  let chosen = -1;
  let asked = 0;
  let timer = 0;

  const options = () => [...list.children];
  const open = () => {
    box.classList.add("is-open");
    loadText().catch(() => { note.textContent = "The search index could not be loaded."; });
  };
  const hide = () => {
    panel.hidden = true;
    input.setAttribute("aria-expanded", "false");
    choose(-1);
  };
  const close = () => {
    box.classList.remove("is-open");
    hide();
  };
  const choose = (number) => {
    chosen = number;
    options().forEach((option, index) => option.setAttribute("aria-selected", String(index === number)));
    const option = options()[number];
    if (option) {
      input.setAttribute("aria-activedescendant", option.id);
      option.scrollIntoView({ block: "nearest" });
    } else input.removeAttribute("aria-activedescendant");
  };
  const go = (option) => { location.assign(option.dataset.href); };

  async function ask() {
    const term = input.value;
    const turn = ++asked;
    if (!term.trim()) { list.replaceChildren(); hide(); return; }
    try {
      const { results } = await findText(term);
      const found = await Promise.all(results.slice(0, SHOWN).map((result) => result.data()));
      if (turn !== asked) return; // a newer question is under way
      list.replaceChildren(...found.map(row));
      note.textContent = found.length === 0 ? "Nothing found."
        : results.length > SHOWN ? `${results.length.toLocaleString("en")} results, the best ${SHOWN}` : "";
    } catch {
      if (turn !== asked) return;
      list.replaceChildren();
      note.textContent = "The search index could not be loaded.";
    }
    panel.hidden = false;
    input.setAttribute("aria-expanded", "true");
    choose(-1);
  }

  input.addEventListener("focus", () => { open(); if (input.value.trim() && list.children.length) { panel.hidden = false; input.setAttribute("aria-expanded", "true"); } });
  input.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(ask, PAUSE); });
  input.addEventListener("keydown", async (event) => {
    const count = list.children.length;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (count && !panel.hidden) choose((chosen + (event.key === "ArrowDown" ? 1 : chosen < 0 ? 0 : -1) + count) % count);
    } else if (event.key === "Enter" && chosen >= 0) {
      event.preventDefault();
      go(options()[chosen]);
    } else if (event.key === "Escape") {
      event.preventDefault();
      if (panel.hidden) { input.value = ""; input.blur(); close(); } else hide();
    }
  });
  list.addEventListener("click", (event) => { const option = event.target.closest("[role=option]"); if (option) go(option); });
  box.addEventListener("focusout", (event) => { if (!box.contains(event.relatedTarget)) setTimeout(() => { if (!box.contains(document.activeElement)) close(); }, 120); });
  list.addEventListener("mousedown", (event) => event.preventDefault());
  box.querySelector("[data-search-open]").addEventListener("click", () => { open(); input.focus(); });
  box.querySelector("[data-search-close]").addEventListener("click", () => { input.value = ""; close(); box.querySelector("[data-search-open]").focus(); });
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]");
    if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    open();
    input.focus();
  });
}

function row(data, number) {
  const option = document.createElement("li");
  option.id = `cat-search-option-${number}`;
  option.setAttribute("role", "option");
  option.setAttribute("aria-selected", "false");
  option.dataset.href = new URL(data.url, ROOT).href;
  const title = span("cat-search__title");
  title.append(span("", data.meta.title), span(`cat-kind cat-kind--${data.meta.kind ?? "page"}`, data.meta.kind ?? "page"));
  const words = span("cat-search__words");
  marked(words, data.excerpt);
  const about = [data.meta.publisher, data.meta.tags].filter(Boolean).join(" · ");
  option.append(title, words);
  if (about) option.append(span("cat-search__words", about));
  return option;
}

function span(name, text = "") {
  const element = document.createElement(text && !name ? "span" : "div");
  if (name.startsWith("cat-kind")) element.className = name;
  else if (name) element.className = name;
  element.textContent = text;
  return element;
}

/** An excerpt with its matches marked. Its text is somebody else's: only <mark> is made of it, the rest stays text. */
function marked(target, excerpt) {
  for (const part of excerpt.split(/(<mark>.*?<\/mark>)/)) {
    const match = /^<mark>(.*)<\/mark>$/.exec(part);
    const text = plain(match ? match[1] : part);
    if (!match) target.append(text);
    else { const mark = document.createElement("mark"); mark.textContent = text; target.append(mark); }
  }
}

const ENTITIES = { "&lt;": "<", "&gt;": ">", "&amp;": "&", "&quot;": '"', "&#x27;": "'", "&#39;": "'" };

function plain(html) {
  return html.replace(/&(?:lt|gt|amp|quot|#x27|#39);/g, (entity) => ENTITIES[entity]);
}
