// The box in the header: a combobox over the text index. "/" opens it, arrows walk, Enter goes, Escape leaves.

import { findText, loadText, ROOT } from "./text.js";
import { words } from "./textindex.js";

const SHOWN = 8;
const PAUSE = 90;
const LENS = "M9.5 3A6.5 6.5 0 0 1 16 9.5c0 1.61-.59 3.09-1.56 4.23l.27.27h.79l5 5-1.5 1.5-5-5v-.79l-.27-.27A6.5 6.5 0 1 1 9.5 3m0 2a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9";

/** What is around the field, built here so that no page carries it: buttons for phones, the key, the panel. */
function build(form) {
  const input = form.querySelector("input");
  for (const [name, value] of Object.entries({
    role: "combobox", "aria-expanded": "false", "aria-controls": "cat-search-results", "aria-autocomplete": "list",
    enterkeyhint: "search", autocapitalize: "off", spellcheck: "false", maxlength: "200",
  })) input.setAttribute(name, value);
  const open = button("cat-search__open md-header__button md-icon", "Search");
  const icon = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  icon.setAttribute("viewBox", "0 0 24 24");
  icon.setAttribute("aria-hidden", "true");
  icon.append(document.createElementNS("http://www.w3.org/2000/svg", "path"));
  icon.firstChild.setAttribute("d", LENS);
  open.append(icon);
  const close = button("cat-search__close", "Close search");
  close.append("×");
  const key = Object.assign(document.createElement("kbd"), { className: "cat-search__key", textContent: "/" });
  key.setAttribute("aria-hidden", "true");
  const panel = part("cat-search__panel");
  panel.hidden = true;
  const note = Object.assign(document.createElement("p"), { className: "cat-search__note" });
  note.setAttribute("role", "status");
  const list = Object.assign(document.createElement("ul"), { id: "cat-search-results" });
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", "Search results");
  panel.append(note, list);
  input.before(open);
  input.after(key, close, panel);
  form.classList.add("is-live");
  return { input, open, close, panel, note, list };
}

function button(name, label) {
  const element = Object.assign(document.createElement("button"), { type: "button", className: name });
  element.setAttribute("aria-label", label);
  return element;
}

export function startSearch(form) {
  if (form.dataset.live) return;
  form.dataset.live = "yes";
  const { input, open: opener, close: closer, panel, note, list } = build(form);
  let chosen = -1;
  let asked = 0;
  let timer = 0;

  const options = () => [...list.children];
  const open = () => {
    form.classList.add("is-open");
    loadText().catch(() => { note.textContent = "The search index could not be loaded."; });
  };
  const show = () => {
    panel.hidden = false;
    input.setAttribute("aria-expanded", "true");
  };
  const hide = () => {
    panel.hidden = true;
    input.setAttribute("aria-expanded", "false");
    choose(-1);
  };
  const close = () => {
    form.classList.remove("is-open");
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

  async function ask(exactly = false) {
    const term = input.value;
    const turn = ++asked;
    if (!term.trim()) { list.replaceChildren(); hide(); return; }
    try {
      const { rows, best, instead, index } = await findText(term, SHOWN, exactly);
      const found = await Promise.all(best.map((number) => index.shownOf(number)));
      if (turn !== asked) return; // a newer question is under way
      list.replaceChildren(...found.map((shown, number) => row(shown, number, words(instead || term))));
      const told = [];
      if (instead) told.push(`Showing results for ${instead}.`);
      if (found.length === 0) told.push("Nothing found.");
      if (rows.length > SHOWN) told.push(`${rows.length.toLocaleString("en")} results, the best ${SHOWN}`);
      note.textContent = told.join(" ");
      if (instead) note.append(" ", back(term));
    } catch {
      if (turn !== asked) return;
      list.replaceChildren();
      note.textContent = "The search index could not be loaded.";
    }
    show();
    choose(-1);
  }

  /** The way back from what was thought to be meant. */
  function back(term) {
    const typed = Object.assign(button("cat-search__back", `Search for ${term} instead`), { textContent: `Search for ${term}` });
    typed.addEventListener("click", () => { input.focus(); ask(true); });
    return typed;
  }

  input.addEventListener("focus", () => { open(); if (input.value.trim() && list.children.length) show(); });
  input.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(() => ask(), PAUSE); });
  input.addEventListener("keydown", (event) => {
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
  list.addEventListener("mousedown", (event) => event.preventDefault());
  form.addEventListener("focusout", (event) => {
    if (!form.contains(event.relatedTarget)) setTimeout(() => { if (!form.contains(document.activeElement)) close(); }, 120);
  });
  opener.addEventListener("click", () => { open(); input.focus(); });
  closer.addEventListener("click", () => { input.value = ""; close(); opener.focus(); });
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]");
    if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    open();
    input.focus();
  });
  if (document.activeElement === input) { // somebody was faster than this script
    open();
    if (input.value.trim()) ask();
  }
}

function row(shown, number, wanted) {
  const option = document.createElement("li");
  option.id = `cat-search-option-${number}`;
  option.setAttribute("role", "option");
  option.setAttribute("aria-selected", "false");
  option.dataset.href = new URL(shown.address, ROOT).href;
  const title = part("cat-search__title");
  title.append(span("", shown.name), span(`cat-kind cat-kind--${shown.kind}`, shown.kind));
  option.append(title);
  if (shown.summary) {
    const summary = part("cat-search__words");
    marked(summary, shown.summary, wanted);
    option.append(summary);
  }
  const about = [shown.publisher, shown.size, shown.tags].filter(Boolean);
  if (about.length) {
    const line = part("cat-search__words");
    about.forEach((text, place) => line.append(place ? " · " : "", span("cat-user", text)));
    option.append(line);
  }
  return option;
}

function part(name) {
  return Object.assign(document.createElement("div"), { className: name });
}

function span(name, text) {
  const element = document.createElement("span");
  if (name) element.className = name;
  element.textContent = text;
  return element;
}
/** A text with the words marked that begin as those asked for do. */
function marked(target, text, wanted) {
  for (const piece of text.split(/([\p{L}\p{N}]+)/u)) {
    const [word] = words(piece);
    if (word && wanted.some((asked) => word.startsWith(asked))) target.append(Object.assign(document.createElement("mark"), { textContent: piece }));
    else target.append(piece);
  }
}
