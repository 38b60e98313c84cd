// The search box in the header: a combobox with a list of results. "/" opens it, arrow keys choose, Enter opens, Escape closes.

import { button, claim, closest, element, find, withAttributes } from "./dom.js";
import { pageUrl } from "./files.js";
import { count, isolated, t } from "./language.js";
import { marked, summaryOf } from "./marks.js";
import { findResults, lineOf, loadText } from "./text.js";

const MAX_RESULTS = 8;
const PAUSE = 90; // milliseconds after the last key
const MAGNIFIER = "M9.5 3A6.5 6.5 0 0 1 16 9.5c0 1.61-.59 3.09-1.56 4.23l.27.27h.79l5 5-1.5 1.5-5-5v-.79l-.27-.27A6.5 6.5 0 1 1 9.5 3m0 2a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9";
const SVG = "http://www.w3.org/2000/svg";
const KINDS = { dataset: t("datasets"), schema: t("schemas"), lens: t("lenses") };
const FAILED = t("The search index could not be loaded.");

/** @typedef {import("./textindex.js").Result} Result */

/**
 * Add the parts around the field, so that pages need not contain them: buttons for phones, the key, the panel.
 * @param {HTMLFormElement} form
 */
function build(form) {
  const input = withAttributes(find(form, "input"), {
    role: "combobox", "aria-expanded": "false", "aria-controls": "cat-search-results", "aria-autocomplete": "list",
    enterkeyhint: "search", autocapitalize: "off", spellcheck: "false", maxlength: "200",
  });
  const open = button("cat-search__open md-header__button md-icon", "", t("Search"));
  const icon = withAttributes(document.createElementNS(SVG, "svg"), { viewBox: "0 0 24 24", "aria-hidden": "true" });
  icon.append(withAttributes(document.createElementNS(SVG, "path"), { d: MAGNIFIER }));
  open.append(icon);
  const close = button("cat-search__close", "×", t("Close search"));
  const key = withAttributes(element("kbd", "cat-search__key", "/"), { "aria-hidden": "true" });
  const panel = element("div", "cat-search__panel");
  panel.hidden = true;
  const note = withAttributes(element("p", "cat-search__note"), { role: "status" });
  const list = withAttributes(element("ul"), { id: "cat-search-results", role: "listbox", "aria-label": t("Search results") });
  const kinds = withAttributes(element("nav", "cat-search__kinds"), { "aria-label": t("Results by kind") });
  kinds.hidden = true;
  panel.append(note, list, kinds);
  input.before(open);
  input.after(key, close, panel);
  form.classList.add("is-live");
  return { input: /** @type {HTMLInputElement} */ (input), open, close, panel, note, list, kinds };
}

/**
 * @param {HTMLFormElement} form
 */
export function startSearch(form) {
  if (!claim(form)) return;
  form.action = pageUrl("browse/"); // instant loading keeps the header while the page's address changes
  const { input, open: opener, close: closer, panel, note, list, kinds } = build(form);
  let chosen = -1;
  let turn = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;

  const options = () => /** @type {HTMLElement[]} */ ([...list.querySelectorAll("[role=option]")]);
  const open = () => {
    form.classList.add("is-open");
    loadText().catch(() => { note.textContent = FAILED; });
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
  const choose = (/** @type {number} */ number) => {
    chosen = number;
    options().forEach((option, index) => option.setAttribute("aria-selected", String(index === number)));
    const option = options()[number];
    if (option) {
      input.setAttribute("aria-activedescendant", option.id);
      option.scrollIntoView({ block: "nearest" });
    } else input.removeAttribute("aria-activedescendant");
  };
  const go = (/** @type {HTMLElement} */ option) => { location.assign(String(option.dataset.href)); };

  /**
   * Search for what the field contains, and show the results.
   * @param {boolean} [exactly] without spelling correction
   */
  async function search(exactly = false) {
    const query = input.value;
    const own = ++turn;
    if (!query.trim()) {
      list.replaceChildren();
      hide();
      return;
    }
    try {
      const { results, total, instead, full, dropped, terms } = await findResults(query, MAX_RESULTS, exactly);
      if (own !== turn) return; // a newer search has started
      list.replaceChildren(...results.map((result, number) => optionOf(result, number, terms)));
      if (dropped.length && full < results.length) list.insertBefore(partHeading(dropped), list.children[full]);
      const messages = [];
      const [before, after] = t("Nothing found. Try fewer or more general words, or {browse}.").split("{browse}");
      if (instead) messages.push(t("Showing results for {query}.", { query: instead }));
      if (results.length === 0) messages.push(before);
      if (total > MAX_RESULTS) messages.push(t("{total} results, the best {n}. Press Enter for all.", { total: count(total), n: MAX_RESULTS }));
      note.textContent = messages.join(" ");
      kinds.hidden = results.length === 0;
      kinds.replaceChildren(...kindLinks(query));
      if (results.length === 0) note.append(browseLink(), after);
      if (instead) note.append(" ", uncorrected(query));
    } catch {
      if (own !== turn) return;
      list.replaceChildren();
      note.textContent = FAILED;
    }
    show();
    choose(-1);
  }

  /**
   * Links to the results of each kind, which Tab reaches from the field.
   * @param {string} query
   * @returns {(string | HTMLElement)[]}
   */
  function kindLinks(query) {
    return [t("Only:"), " ", ...Object.entries(KINDS).flatMap(([kind, name], place) => {
      const link = element("a", "cat-search__back", name);
      link.href = `${pageUrl("browse/")}?${new URLSearchParams({ q: query.trim(), kind })}`;
      return place ? [" · ", link] : [link];
    })];
  }

  /**
   * A link to the list of everything, for a query that finds nothing.
   * @returns {HTMLAnchorElement}
   */
  function browseLink() {
    const link = element("a", "cat-search__back", t("browse all records"));
    link.href = pageUrl("browse/");
    return link;
  }

  /**
   * The button that searches for the query without spelling correction.
   * @param {string} query
   * @returns {HTMLButtonElement}
   */
  function uncorrected(query) {
    const made = button("cat-search__back", t("Search for {query}", { query }), t("Search for {query} instead", { query }));
    made.addEventListener("click", () => { input.focus(); search(true); });
    return made;
  }

  input.addEventListener("focus", () => { open(); if (input.value.trim() && list.children.length) show(); });
  input.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(search, PAUSE); });
  input.addEventListener("keydown", (event) => {
    const number = options().length;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (number && !panel.hidden) choose((chosen + (event.key === "ArrowDown" ? 1 : chosen < 0 ? 0 : -1) + number) % number);
    } else if (event.key === "Enter" && chosen >= 0) {
      event.preventDefault();
      go(options()[chosen]);
    } else if (event.key === "Escape") {
      event.preventDefault();
      if (panel.hidden) {
        input.value = "";
        input.blur();
        close();
      } else hide();
    }
  });
  list.addEventListener("click", (event) => { const option = closest(event, "[role=option]"); if (option) go(option); });
  list.addEventListener("mousedown", (event) => event.preventDefault()); // the field keeps the focus
  form.addEventListener("focusout", (event) => {
    if (!form.contains(/** @type {Node | null} */ (event.relatedTarget))) setTimeout(() => { if (!form.contains(document.activeElement)) close(); }, 120);
  });
  opener.addEventListener("click", () => { open(); input.focus(); });
  closer.addEventListener("click", () => { input.value = ""; close(); opener.focus(); });
  document.addEventListener("keydown", (event) => {
    const typing = closest(event, "input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]");
    if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    open();
    input.focus();
  });
  if (document.activeElement === input) { // the user was faster than this script
    open();
    if (input.value.trim()) search();
  }
}

/**
 * The heading of the results that lack some words.
 * @param {string[]} dropped
 * @returns {HTMLLIElement}
 */
export function partHeading(dropped) {
  const [last, ...others] = dropped.map((word) => `“${word}”`).reverse();
  const words = others.length ? t("some of {words} and {last}", { words: others.reverse().join(", "), last }) : last;
  return withAttributes(element("li", "cat-search__part", t("Without {words}", { words })), { role: "presentation" });
}

/**
 * @param {Result} result
 * @param {number} number
 * @param {Set<string>} terms
 * @returns {HTMLLIElement}
 */
function optionOf(result, number, terms) {
  const option = withAttributes(element("li"), { id: `cat-search-option-${number}`, role: "option", "aria-selected": "false" });
  option.dataset.href = pageUrl(result.address);
  const title = element("div", "cat-search__title");
  const name = withAttributes(element("span"), { dir: "auto" });
  name.append(...marked(result.name, terms));
  title.append(name, element("span", `cat-kind cat-kind--${result.kind}`, t(result.kind)));
  option.append(title);
  if (result.summary) {
    const summary = summaryOf(result.summary, terms, "cat-search__words");
    option.append(summary);
    lineOf(result, terms).then((line) => { if (line) summary.replaceChildren(...marked(line, terms)); }, () => {}); // else the summary stays
  }
  const facts = [result.publisher, isolated(result.size), result.tags].filter(Boolean);
  if (facts.length) {
    const line = element("div", "cat-search__words");
    facts.forEach((text, place) => {
      const fact = element("span", "cat-user");
      fact.append(...marked(text, terms));
      line.append(place ? " · " : "", fact);
    });
    option.append(line);
  }
  return option;
}
