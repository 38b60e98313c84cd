// The browse page. It filters and counts facets over columns, and loads the details of a row when the row becomes visible.
// Text search and facets meet by row number. The URL has the state.

import { button, claim, element, find } from "./dom.js";
import { makeFacets } from "./facets.js";
import { pageUrl } from "./files.js";
import { counted as counting, isolated, LOCALE, t } from "./language.js";
import { marked, summaryOf } from "./marks.js";
import { partHeading } from "./search.js";
import { loadTable } from "./table.js";
import { findText, lineOf, ROOT } from "./text.js";

/** @type {Record<string, string>} */
const TITLES = {
  kind: t("Kind"), task: t("Task"), modality: t("Modality"), language: t("Languages"), format: t("Format"), tag: t("Tags"), licence: t("Licence"),
  publisher: t("Publisher"), schema: t("Schema"), dtype: t("Array type"), size: t("Size"), state: t("Verification"), updated: t("Updated"),
};
const ORDERS = ["new", "match", "name", "size", "samples", "updated"];
const STEP = 40; // rows added by each "more"
const RETRY = 3000; // milliseconds
const MAX_NAMES = 4000; // without the text index, the names of up to this many rows are searched
const LARGE = 20_000; // rows from which the most expensive facets start closed
const EXPENSIVE = ["task", "modality", "language", "tag", "publisher", "schema", "dtype"];
const UNITS = ["bytes", "kB", "MB", "GB", "TB", "PB", "EB"];

/** @typedef {import("./table.js").Table} Table */
/** @typedef {import("./table.js").Details} Details */
/** @typedef {{ query: string, sort: string, chosen: Record<string, Set<string>> }} State */
/** @typedef {{ rows: Set<number>, best?: number[], instead?: string, failed?: boolean, dropped?: string[], complete?: Set<number>, terms?: Set<string>, index?: import("./textindex.js").Index }} Matches */

/**
 * @param {HTMLElement} page
 */
export async function startBrowse(page) {
  if (!claim(page)) return;
  const form = /** @type {HTMLFormElement} */ (find(page, "form"));
  if (matchMedia("(max-width: 59.9375em)").matches) /** @type {HTMLDetailsElement} */ (find(page, ".cat-browse__facets")).open = false;
  try {
    new Browser(page, form, await loadTable(ROOT)).start();
  } catch {
    find(page, ".cat-browse__count").textContent = t("The list could not be loaded.");
    form.hidden = false;
  }
}

/**
 * The state in the query string of a URL. Unknown facet values are kept: they match nothing, and the user can remove them.
 * @param {string} search
 * @returns {State}
 */
export function readState(search) {
  const parameters = new URLSearchParams(search);
  const query = parameters.get("q") ?? "";
  const sort = parameters.get("sort") ?? "";
  return { query, sort: ORDERS.includes(sort) ? sort : usualSort(query), chosen: choices((facet) => parameters.getAll(facet)) };
}

/**
 * The order of a query's rows where none is chosen: best match first, and newest first without words.
 * @param {string} query
 * @returns {string}
 */
function usualSort(query) {
  return query.trim() ? "match" : "new";
}

/**
 * The query string of a state, with its question mark; "" for the initial state.
 * @param {State} state
 * @returns {string}
 */
export function writeState({ query, sort, chosen }) {
  const parameters = new URLSearchParams();
  if (query.trim()) parameters.set("q", query.trim());
  for (const [facet, words] of Object.entries(chosen)) for (const word of words) parameters.append(facet, word);
  if (sort !== usualSort(query)) parameters.set("sort", sort);
  const text = String(parameters);
  return text && `?${text}`;
}

class Browser {
  /** @type {number[]} */
  #rows = [];
  #limit = STEP;
  #turn = 0;
  /** @type {Record<string, Set<string>>} */
  #chosen = choices();
  #note = "";
  #uncorrected = ""; // the query that has other results than those shown, which are of corrected spelling
  #exactly = ""; // the query whose spelling is not to be corrected
  #usual = true; // the order is the usual one of the query, and changes with it
  /** @type {Matches | null} */
  #matches = null; // what the rows shown match
  /** @type {number | undefined} */
  #focusAfter; // the place of the choice that was removed

  /**
   * @param {HTMLElement} page
   * @param {HTMLFormElement} form
   * @param {Table} table
   */
  constructor(page, form, table) {
    this.page = page;
    this.form = form;
    this.table = table;
    this.query = /** @type {HTMLInputElement} */ (form.elements.namedItem("q"));
    this.sort = /** @type {HTMLSelectElement} */ (form.elements.namedItem("sort"));
    this.facets = makeFacets(this.find("[data-facets]"), Object.entries(TITLES).map(([facet, title]) => ({ name: facet, title, words: table.facets[facet].words })), {
      toggle: (facet, word) => this.toggle(facet, word),
      opened: () => { this.update({ rows: false }); },
      closed: (facet) => table.length >= LARGE && EXPENSIVE.includes(facet),
    });
    this.visible = new IntersectionObserver((entries) => entries.forEach(({ isIntersecting, target }) => {
      if (!isIntersecting) return;
      this.visible.unobserve(target);
      this.fill(/** @type {HTMLElement} */ (target));
    }));
  }

  /**
   * @param {string} selector
   * @returns {HTMLElement}
   */
  find(selector) {
    return find(this.page, selector);
  }

  start() {
    this.read();
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    this.query.addEventListener("input", () => {
      clearTimeout(timer);
      if (this.#usual) this.sort.value = usualSort(this.query.value);
      timer = setTimeout(() => this.changed({ push: false }), 120);
    });
    this.sort.addEventListener("change", () => { this.#usual = this.sort.value === usualSort(this.query.value); this.changed(); });
    this.form.addEventListener("submit", (event) => { event.preventDefault(); clearTimeout(timer); this.changed({ push: false }); });
    this.find("[data-more]").addEventListener("click", () => {
      const first = this.#limit;
      this.#limit += STEP;
      history.replaceState({ ...history.state, shown: this.#limit }, "");
      this.showRows(first);
    });
    this.find("[data-clear]").addEventListener("click", () => {
      this.query.value = "";
      if (this.#usual) this.sort.value = usualSort("");
      this.#chosen = choices();
      this.changed();
      this.query.focus();
    });
    addEventListener("popstate", () => {
      if (!this.page.isConnected) return;
      clearTimeout(timer);
      this.read();
      this.update();
    });
    this.update();
    this.form.hidden = false; // not earlier: what the user types before that would be lost
  }

  /** Take the state from the URL. */
  read() {
    const { query, sort, chosen } = readState(location.search);
    this.query.value = query;
    this.sort.value = sort;
    this.#usual = sort === usualSort(query);
    this.#chosen = chosen;
    this.#limit = Number.isSafeInteger(history.state?.shown) ? history.state.shown : STEP;
  }

  /**
   * Write the state to the URL, and update the page.
   * @param {{ push?: boolean }} [options] push: as a new entry of the browser's history
   */
  changed({ push = true } = {}) {
    const search = writeState({ query: this.query.value, sort: this.sort.value, chosen: this.#chosen });
    history[push ? "pushState" : "replaceState"](null, "", location.pathname + search);
    this.#limit = STEP;
    this.update();
  }

  /**
   * @param {string} facet
   * @param {string} word
   */
  toggle(facet, word) {
    if (!this.#chosen[facet].delete(word)) this.#chosen[facet].add(word);
    this.changed();
  }

  /**
   * The rows that match the query; null without a query. If the index can't be loaded, names are searched.
   * @returns {Promise<Matches | null>}
   */
  async matches() {
    const query = this.query.value.trim();
    if (!query) return null;
    try {
      const ranked = this.sort.value === "match" ? this.table.length : 0;
      const { rows, best, instead, full, dropped, terms, index } = await findText(query, ranked, this.#exactly === query);
      const complete = new Set(best.slice(0, full)); // have all words
      return { rows: new Set(rows.filter((row) => row < this.table.length)), best, instead, dropped, complete, terms, index };
    } catch {
      if (this.table.length > MAX_NAMES) return { rows: new Set(), failed: true };
      const lower = query.toLowerCase();
      const names = await this.table.names();
      return { rows: new Set(names.flatMap((name, row) => (name.toLowerCase().includes(lower) ? [row] : []))) };
    }
  }

  /**
   * Filter, count and show; without `rows` only the counts.
   * @param {{ rows?: boolean }} [options]
   */
  async update({ rows = true } = {}) {
    const turn = rows ? ++this.#turn : this.#turn;
    this.page.setAttribute("aria-busy", "true");
    const sort = this.sort.value;
    const chosen = Object.keys(TITLES).filter((facet) => this.#chosen[facet].size);
    const filtered = chosen.length > 0 || this.query.value.trim() !== "";
    const counted = filtered ? this.facets.open() : []; // unfiltered, the totals are the counts
    /** @type {string[]} */
    const messages = [];
    const failed = (/** @type {string} */ message) => () => { messages.push(message); return null; };
    const [matches, order] = await Promise.all([
      this.matches(),
      sort === "new" || sort === "match" ? null : this.table.order(sort).catch(failed(t("The order could not be loaded: newest first."))),
      this.table.need([...chosen, ...counted]).catch(failed(t("Some of the filters could not be loaded."))),
    ]);
    if (turn !== this.#turn) return;
    if (matches?.failed) messages.push(t("The text index could not be loaded."));
    if (matches?.instead) messages.push(t("Showing results for {query}.", { query: matches.instead }));
    const loaded = (/** @type {string} */ facet) => this.table.loaded(facet);
    const found = this.table.filter(Object.fromEntries(chosen.filter(loaded).map((facet) => [facet, this.#chosen[facet]])), matches?.rows ?? null, counted.filter(loaded));
    const totals = filtered ? {} : Object.fromEntries(Object.entries(this.table.facets).map(([facet, { totals: all }]) => [facet, all]));
    this.facets.show({ ...totals, ...found.counts }, this.#chosen);
    this.page.removeAttribute("aria-busy");
    if (!rows) return;
    const sorted = order ?? (sort === "match" ? matches?.best : null);
    if (sorted) {
      const inside = new Set(found.rows);
      const first = [...sorted].filter((row) => inside.has(row));
      this.#rows = order ? first : [...new Set([...first, ...found.rows])];
    } else this.#rows = found.rows;
    if (matches && !matches.rows.size && !matches.failed) messages.push(t("Try fewer or more general words."));
    this.#matches = matches;
    this.#note = messages.join(" ");
    this.#uncorrected = matches?.instead ? this.query.value.trim() : "";
    this.showChoices();
    this.showRows();
  }

  /** A button for each choice, which removes it. */
  showChoices() {
    const buttons = Object.entries(this.#chosen).flatMap(([facet, words]) => [...words].map((word) => {
      const made = button("", `${word} ×`, t("Remove {facet}: {word}", { facet: TITLES[facet], word }));
      made.addEventListener("click", () => {
        const place = buttons.indexOf(made);
        this.toggle(facet, word);
        this.#focusAfter = place; // its neighbour gets the focus
      });
      return made;
    }));
    this.find("[data-chosen]").replaceChildren(...buttons);
    this.find("[data-clear]").hidden = buttons.length === 0 && !this.query.value.trim();
    if (this.#focusAfter !== undefined) (buttons[Math.min(this.#focusAfter, buttons.length - 1)] ?? this.query).focus();
    this.#focusAfter = undefined;
  }

  /**
   * Show the rows; with `from` only add those after it, and give the first of them the focus.
   * @param {number} [from]
   */
  showRows(from = 0) {
    const total = this.#rows.length;
    const found = counting(total, "record");
    const status = this.find(".cat-browse__count");
    status.textContent = this.#note ? `${found}. ${this.#note}` : found;
    if (this.#uncorrected) status.append(" ", this.uncorrected(this.#uncorrected));
    const list = this.find("[data-rows]");
    if (!from) {
      this.visible.disconnect();
      list.replaceChildren();
    }
    const shown = this.#rows.slice(from, this.#limit);
    const items = shown.map((row) => this.item(row));
    list.append(...items);
    this.splitParts(from, shown, items);
    if (from) items[0]?.querySelector("a")?.focus();
    this.find("[data-more]").hidden = total <= this.#limit;
  }

  /**
   * The button that searches for the query without spelling correction.
   * @param {string} query
   * @returns {HTMLButtonElement}
   */
  uncorrected(query) {
    const made = button("cat-search__back", t("Search for {query}", { query }), t("Search for {query} instead", { query }));
    made.addEventListener("click", () => { this.#exactly = query; this.query.focus(); this.update(); });
    return made;
  }

  /**
   * Put a heading before the first row that lacks some words.
   * @param {number} from
   * @param {number[]} rows
   * @param {HTMLElement[]} items
   */
  splitParts(from, rows, items) {
    const { dropped, complete } = this.#matches ?? {};
    if (!dropped?.length || !complete || this.sort.value !== "match") return;
    const place = rows.findIndex((row) => !complete.has(row));
    if (place >= 0 && (place > 0 || !from || complete.has(this.#rows[from - 1]))) items[place].before(partHeading(dropped));
  }

  /**
   * Add to a row that matches a query the line of the description that does, or its beginning.
   * @param {HTMLElement} item
   */
  async describe(item) {
    const { terms, index } = this.#matches ?? {};
    if (!terms || !index) return;
    const turn = this.#turn;
    const result = await index.shownOf(Number(item.dataset.row)).catch(() => null);
    if (turn !== this.#turn || !result?.summary || item.querySelector(".cat-rows__words")) return;
    const summary = summaryOf(result.summary, terms, "cat-rows__words");
    item.append(summary);
    const line = await lineOf(result, terms).catch(() => "");
    if (line) summary.replaceChildren(...marked(line, terms));
  }

  /**
   * The list item of a row; a placeholder until the row becomes visible.
   * @param {number} row
   * @returns {HTMLLIElement}
   */
  item(row) {
    const item = element("li");
    item.dataset.row = String(row);
    const details = this.table.known(row);
    if (details) {
      show(item, details);
      this.describe(item);
    } else {
      item.className = "is-coming";
      const link = element("a", "", "…");
      link.href = "#top";
      item.append(element("span", "cat-kind", "…"), link);
      this.visible.observe(item);
    }
    return item;
  }

  /**
   * Load and show a row, and all visible placeholders of the same chunk.
   * @param {HTMLElement} item
   */
  async fill(item) {
    try {
      show(item, await this.table.details(Number(item.dataset.row)));
      this.describe(item);
      for (const other of /** @type {NodeListOf<HTMLElement>} */ (this.find("[data-rows]").querySelectorAll(".is-coming"))) {
        const details = this.table.known(Number(other.dataset.row));
        if (!details) continue;
        this.visible.unobserve(other);
        show(other, details);
        this.describe(other);
      }
    } catch {
      find(item, "a").textContent = t("could not be loaded");
      if (item.isConnected) setTimeout(() => this.visible.observe(item), RETRY);
    }
  }
}

/**
 * @param {HTMLElement} item
 * @param {Details} details
 */
function show(item, { name, address, kind, publisher, licence, schema, ends, state, tags, samples, bytes, day }) {
  const link = element("a", "cat-user", name);
  link.href = pageUrl(address);
  const facts = element("span", "cat-rows__facts");
  const add = (/** @type {string} */ text, className = "") => { if (text) facts.append(element("span", className, text)); };
  const focused = item.contains(document.activeElement);
  if (state !== "draft") add(publisher, "cat-user"); // drafts have no publisher
  if (samples >= 0) add(counting(samples, "sample"));
  if (bytes >= 0) add(byteSize(bytes));
  add(licence);
  add(kind === "schema" ? schema.slice(name.length + 1).split(" · ")[0] : schema, "cat-type");
  add(ends, "cat-type");
  add(tags.join(", "));
  if (state !== "verified") add(t(state), "cat-draft");
  item.replaceChildren(element("span", `cat-kind cat-kind--${kind}`, t(kind)), link);
  if (day >= 0) item.append(element("time", "cat-rows__date", new Date(day * 864e5).toISOString().slice(0, 10)));
  item.append(facts);
  item.classList.remove("is-coming");
  if (focused) link.focus();
}

/**
 * A set of words for each facet.
 * @param {(facet: string) => string[]} [words]
 * @returns {Record<string, Set<string>>}
 */
function choices(words = () => []) {
  return Object.fromEntries(Object.keys(TITLES).map((facet) => [facet, new Set(words(facet))]));
}

/**
 * @param {number} bytes
 * @returns {string}
 */
export function byteSize(bytes) {
  let unit = 0;
  let value = bytes;
  while (value >= 999.5 && unit < UNITS.length - 1) { value /= 1000; unit++; }
  return unit === 0 ? `${value} B` : isolated(`${Number(value.toPrecision(3)).toLocaleString(LOCALE)} ${UNITS[unit]}`);
}
