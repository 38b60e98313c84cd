// The browse page: facets are filtered and counted here, over columns; what is shown of a row comes in chunks when the
// row is on the screen. Text is found by the index, the two meet by row. State lives in the URL.

import { makeFacets } from "./facets.js";
import { loadTable } from "./table.js";
import { findText, ROOT } from "./text.js";

const TITLES = {
  kind: "Kind", tag: "Tags", licence: "Licence", publisher: "Publisher", schema: "Schema", dtype: "Array type", size: "Size",
  state: "Verification", updated: "Updated",
};
const ORDERS = ["new", "match", "name", "size", "samples", "updated"];
const STEP = 40;
const BEST = 200; // so many matches are put in order; the others come after them, newest first
const RETRY = 3000; // milliseconds
const NAMES = 4000; // without a text index, the names of so many rows are searched
const LARGE = 20_000; // from here on facets that cost most stand closed at first
const COSTLY = ["tag", "publisher", "schema", "dtype"];
const UNITS = ["bytes", "kB", "MB", "GB", "TB", "PB", "EB"];

export async function startBrowse(page) {
  if (page.dataset.live) return;
  page.dataset.live = "yes";
  const form = page.querySelector("form");
  if (matchMedia("(max-width: 59.9375em)").matches) page.querySelector(".cat-browse__facets").open = false;
  try {
    new Browser(page, form, await loadTable(ROOT)).start();
  } catch {
    page.querySelector(".cat-browse__count").textContent = "The list could not be loaded.";
    form.hidden = false;
  }
}

class Browser {
  constructor(page, form, table) {
    Object.assign(this, { page, form, table, limit: STEP, turn: 0, rows: [] });
    this.find = (selector) => page.querySelector(selector);
    this.facets = makeFacets(this.find("[data-facets]"), Object.entries(TITLES).map(([facet, title]) => [facet, title, table.facets[facet]]), {
      toggle: (facet, word) => this.toggle(facet, word),
      opened: () => this.update({ rows: false }),
      closed: (facet) => table.length >= LARGE && COSTLY.includes(facet),
    });
    this.onScreen = new IntersectionObserver((entries) => entries.forEach(({ isIntersecting, target }) => {
      if (isIntersecting) { this.onScreen.unobserve(target); this.fill(target); }
    }));
  }

  start() {
    this.read();
    let timer = 0;
    const soon = () => { clearTimeout(timer); timer = setTimeout(() => this.changed({ push: false }), 120); };
    this.form.q.addEventListener("input", soon);
    this.form.sort.addEventListener("change", () => this.changed());
    this.form.addEventListener("submit", (event) => { event.preventDefault(); clearTimeout(timer); this.changed({ push: false }); });
    this.find("[data-more]").addEventListener("click", () => {
      const first = this.limit;
      this.limit += STEP;
      history.replaceState({ ...history.state, shown: this.limit }, "");
      this.showRows(first);
    });
    this.find("[data-clear]").addEventListener("click", () => {
      this.form.q.value = "";
      this.chosen = empty();
      this.changed();
      this.form.q.focus();
    });
    addEventListener("popstate", () => {
      if (!this.page.isConnected) return;
      clearTimeout(timer);
      this.read();
      this.update();
    });
    this.update();
    this.form.hidden = false; // only now: what is typed earlier would be lost
  }

  /** State from the address. A value this catalog doesn't have is kept: it matches nothing, and can be taken away. */
  read() {
    const query = new URLSearchParams(location.search);
    this.form.q.value = query.get("q") ?? "";
    this.form.sort.value = ORDERS.includes(query.get("sort")) ? query.get("sort") : "new";
    this.chosen = empty((facet) => query.getAll(facet));
    this.limit = Number.isSafeInteger(history.state?.shown) ? history.state.shown : STEP;
  }

  changed({ push = true } = {}) {
    const query = new URLSearchParams();
    if (this.form.q.value.trim()) query.set("q", this.form.q.value.trim());
    for (const [facet, words] of Object.entries(this.chosen)) for (const word of words) query.append(facet, word);
    if (this.form.sort.value !== "new") query.set("sort", this.form.sort.value);
    history[push ? "pushState" : "replaceState"](null, "", `${location.pathname}${query.size ? `?${query}` : ""}`);
    this.limit = STEP;
    this.update();
  }

  toggle(facet, word) {
    if (!this.chosen[facet].delete(word)) this.chosen[facet].add(word);
    this.changed();
  }

  /** The rows that match the text, as a set; null where there is none. Without an index, names are searched. */
  async matches() {
    const term = this.form.q.value.trim();
    if (!term) return null;
    try {
      const { rows, best, instead } = await findText(term, this.form.sort.value === "match" ? BEST : 0, this.exactly === term);
      return { rows: new Set(rows.filter((row) => row < this.table.length)), best, instead };
    } catch {
      if (this.table.length > NAMES) return { rows: new Set(), failed: true };
      const low = term.toLowerCase();
      const names = await this.table.names();
      return { rows: new Set(names.flatMap((name, row) => (name.toLowerCase().includes(low) ? [row] : []))) };
    }
  }

  /** Filter, count and show anew; without `rows` only the counts. */
  async update({ rows = true } = {}) {
    const turn = rows ? ++this.turn : this.turn;
    this.page.setAttribute("aria-busy", "true");
    const sort = this.form.sort.value;
    const chosen = Object.keys(TITLES).filter((facet) => this.chosen[facet].size);
    const asks = chosen.length > 0 || this.form.q.value.trim() !== "";
    const counted = asks ? this.facets.open() : []; // with nothing asked, the totals are the counts
    const note = [];
    const fail = (words) => () => { note.push(words); return null; };
    const [text, order] = await Promise.all([
      this.matches(),
      sort === "new" || sort === "match" ? null : this.table.order(sort).catch(fail("The order could not be loaded: newest first.")),
      this.table.need([...chosen, ...counted]).catch(fail("Some of the filters could not be loaded.")),
    ]);
    if (turn !== this.turn) return;
    if (text?.failed) note.push("The text index could not be loaded.");
    if (text?.instead) note.push(`Showing results for ${text.instead}.`);
    const here = (facet) => Boolean(this.table.facets[facet].starts);
    const found = this.table.filter(Object.fromEntries(chosen.filter(here).map((facet) => [facet, this.chosen[facet]])), text?.rows ?? null, counted.filter(here));
    const totals = asks ? {} : Object.fromEntries(Object.entries(this.table.facets).map(([facet, { totals: all }]) => [facet, all]));
    this.facets.show({ ...totals, ...found.counts }, this.chosen);
    this.page.removeAttribute("aria-busy");
    if (!rows) return;
    if (order) {
      const inside = new Set(found.rows);
      this.rows = [...order].filter((row) => inside.has(row));
    } else if (sort === "match" && text?.best) {
      const inside = new Set(found.rows);
      this.rows = [...new Set([...text.best.filter((row) => inside.has(row)), ...found.rows])];
    } else this.rows = found.rows;
    this.note = note.join(" ");
    this.wayBack = text?.instead ? this.form.q.value.trim() : "";
    this.showChosen();
    this.showRows();
  }

  showChosen() {
    const buttons = Object.entries(this.chosen).flatMap(([facet, words]) => [...words].map((word) => {
      const button = make("button", "", `${word} ×`);
      button.type = "button";
      button.setAttribute("aria-label", `Remove ${TITLES[facet]}: ${word}`);
      button.addEventListener("click", () => {
        const place = [...button.parentElement.children].indexOf(button);
        this.toggle(facet, word);
        this.after = place; // its neighbour takes the focus
      });
      return button;
    }));
    const box = this.find("[data-chosen]");
    box.replaceChildren(...buttons);
    this.find("[data-clear]").hidden = buttons.length === 0 && !this.form.q.value.trim();
    if (this.after !== undefined) (buttons[Math.min(this.after, buttons.length - 1)] ?? this.form.q).focus();
    this.after = undefined;
  }

  /** The first rows. With `from`, only what comes after so many: the first of them takes the focus. */
  showRows(from = 0) {
    const total = this.rows.length;
    const count = total === 1 ? "1 record" : `${total.toLocaleString("en")} records`;
    this.find(".cat-browse__count").textContent = this.note ? `${count}. ${this.note}` : count;
    if (this.wayBack) this.find(".cat-browse__count").append(" ", this.back(this.wayBack));
    const list = this.find("[data-rows]");
    if (!from) {
      this.onScreen.disconnect();
      list.replaceChildren();
    }
    const items = Array.from(this.rows.slice(from, this.limit), (row) => this.item(row));
    list.append(...items);
    if (from) items[0]?.querySelector("a").focus();
    this.find("[data-more]").hidden = total <= this.limit;
  }

  /** The way back from what was thought to be meant. */
  back(term) {
    const button = Object.assign(make("button", "cat-search__back", `Search for ${term}`), { type: "button" });
    button.setAttribute("aria-label", `Search for ${term} instead`);
    button.addEventListener("click", () => { this.exactly = term; this.form.q.focus(); this.update(); });
    return button;
  }

  /** The place of a row; it is filled when it comes on the screen. */
  item(row) {
    const item = make("li");
    item.dataset.row = row;
    const known = this.table.known(row);
    if (known) show(item, known);
    else {
      item.className = "is-coming";
      item.append(make("span", "cat-kind", "…"), Object.assign(make("a", "", "…"), { href: "#top" }));
      this.onScreen.observe(item);
    }
    return item;
  }

  async fill(item) {
    try {
      const found = await this.table.detail(Number(item.dataset.row));
      show(item, found);
      for (const other of this.find("[data-rows]").querySelectorAll(".is-coming")) { // of the same chunk
        const known = this.table.known(Number(other.dataset.row));
        if (known) { this.onScreen.unobserve(other); show(other, known); }
      }
    } catch {
      item.querySelector("a").textContent = "could not be loaded";
      if (item.isConnected) setTimeout(() => this.onScreen.observe(item), RETRY);
    }
  }
}

function show(item, { name, address, kind, publisher, licence, schema, ends, state, tags, samples, bytes, day }) {
  const link = Object.assign(make("a", "cat-user", name), { href: new URL(address, ROOT).href });
  const facts = make("span", "cat-rows__facts");
  const add = (text, look = "") => { if (text) facts.append(make("span", look, text)); };
  const focused = item.contains(document.activeElement);
  if (state !== "draft") add(publisher, "cat-user"); // drafts have none
  if (samples >= 0) add(`${samples.toLocaleString("en")} ${samples === 1 ? "sample" : "samples"}`);
  if (bytes >= 0) add(size(bytes));
  add(licence);
  add(kind === "schema" ? schema.slice(name.length + 1).split(" · ")[0] : schema, "cat-type");
  add(ends, "cat-type");
  add(tags.join(", "));
  if (state !== "verified") add(state, "cat-draft");
  item.replaceChildren(make("span", `cat-kind cat-kind--${kind}`, kind), link);
  if (day >= 0) item.append(make("time", "cat-rows__date", new Date(day * 864e5).toISOString().slice(0, 10)));
  item.append(facts);
  item.classList.remove("is-coming");
  if (focused) link.focus();
}

function empty(words = () => []) {
  return Object.fromEntries(Object.keys(TITLES).map((facet) => [facet, new Set(words(facet))]));
}

function make(tag, name = "", text = "") {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (text) element.textContent = text;
  return element;
}

function size(bytes) {
  let unit = 0;
  let value = bytes;
  while (value >= 999.5 && unit < UNITS.length - 1) { value /= 1000; unit++; }
  return unit === 0 ? `${value} bytes` : `${Number(value.toPrecision(3)).toLocaleString("en")} ${UNITS[unit]}`;
}
