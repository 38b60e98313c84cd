// The browse page: facets over one columnar file, text from the index, the two met by row. State lives in the URL.

import { findText, ROOT } from "./text.js";

const FACETS = ["kind", "tag", "licence", "publisher", "schema"];
const TITLES = { kind: "Kind", tag: "Tags", licence: "Licence", publisher: "Publisher", schema: "Schema" };
const FEW = 8;
const STEP = 60;
const UNITS = ["bytes", "kB", "MB", "GB", "TB", "PB", "EB"];

export async function startBrowse(page) {
  if (page.dataset.live) return;
  page.dataset.live = "yes";
  const form = page.querySelector("form");
  if (matchMedia("(max-width: 59.9375em)").matches) page.querySelector(".cat-browse__facets").open = false;
  let data;
  try {
    const answer = await fetch(new URL("catalog/facets.json", ROOT));
    if (!answer.ok) throw new Error(String(answer.status));
    data = await answer.json();
  } catch {
    page.querySelector(".cat-browse__count").textContent = "The list could not be loaded.";
    form.hidden = false;
    return;
  }
  new Browser(page, form, new Table(data)).start();
}

/** The columns, and for each facet the words of its numbers. */
class Table {
  constructor(data) {
    this.data = data;
    this.length = data.name.length;
    this.words = {
      kind: data.kinds.map(([kind]) => kind),
      tag: data.tags,
      licence: data.licences,
      publisher: data.publishers.map(([, shown]) => shown),
      schema: data.schemas.map(([, shown]) => shown),
    };
    this.newest = [...Array(this.length).keys()].sort((a, b) => data.day[b] - data.day[a] || a - b);
  }

  /** The numbers a row has in a facet. */
  numbers(facet, row) {
    if (facet === "tag") return this.data.tag[row];
    const number = this.data[facet][row];
    return number < 0 ? [] : [number];
  }

  href(row) {
    const { data } = this;
    return new URL(`${data.kinds[data.kind[row]][1]}/${data.publishers[data.publisher[row]][0]}/${data.segment[row]}/`, ROOT).href;
  }

  sorted(rows, order) {
    const { name, bytes } = this.data;
    if (order === "name") return rows.sort((a, b) => name[a].localeCompare(name[b], "en", { sensitivity: "base", numeric: true }) || a - b);
    if (order === "size") return rows.sort((a, b) => bytes[b] - bytes[a] || a - b);
    return rows;
  }
}

class Browser {
  constructor(page, form, table) {
    Object.assign(this, { page, form, table, unfolded: new Set(), limit: STEP, turn: 0 });
    this.find = (selector) => page.querySelector(selector);
  }

  start() {
    this.read();
    let timer = 0;
    this.form.q.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(() => this.changed({ push: false }), 120); });
    this.form.sort.addEventListener("change", () => this.changed());
    this.form.addEventListener("submit", (event) => { event.preventDefault(); this.changed({ push: false }); });
    this.find("[data-more]").addEventListener("click", () => {
      const first = this.limit;
      this.limit += STEP;
      this.showRows();
      this.find("[data-rows]").children[first]?.querySelector("a").focus();
    });
    addEventListener("popstate", () => { this.read(); this.update(); });
    this.update();
    this.form.hidden = false; // only now: what is typed earlier would be lost
  }

  /** State from the address. A value this catalog doesn't have is kept: it matches nothing, and can be taken away. */
  read() {
    const query = new URLSearchParams(location.search);
    this.form.q.value = query.get("q") ?? "";
    this.form.sort.value = ["new", "name", "size"].includes(query.get("sort")) ? query.get("sort") : "new";
    this.chosen = Object.fromEntries(FACETS.map((facet) => [facet, new Set(query.getAll(facet))]));
  }

  changed({ push = true } = {}) {
    const query = new URLSearchParams();
    if (this.form.q.value.trim()) query.set("q", this.form.q.value.trim());
    for (const facet of FACETS) for (const word of this.chosen[facet]) query.append(facet, word);
    if (this.form.sort.value !== "new") query.set("sort", this.form.sort.value);
    const address = `${location.pathname}${query.size ? `?${query}` : ""}`;
    history[push ? "pushState" : "replaceState"](null, "", address);
    this.update();
  }

  /** The rows that match the text, as a set; null where there is none. Without an index, names are searched. */
  async matches() {
    const term = this.form.q.value.trim();
    if (!term) return null;
    try {
      this.ids ??= fetch(new URL("catalog/text-ids.json", ROOT)).then((answer) => answer.ok ? answer.json() : Promise.reject(answer))
        .then((ids) => new Map(ids.map((id, row) => [id, row])));
      const [ids, results] = await Promise.all([this.ids, findText(term)]);
      return new Set(results.map((result) => ids.get(result.id)).filter((row) => row !== undefined));
    } catch {
      const low = term.toLowerCase();
      return new Set(this.table.data.name.flatMap((name, row) => name.toLowerCase().includes(low) ? [row] : []));
    }
  }

  async update() {
    const turn = ++this.turn;
    const text = await this.matches();
    if (turn !== this.turn) return;
    const { table } = this;
    const wanted = FACETS.map((facet) => new Set([...this.chosen[facet]].map((word) => table.words[facet].indexOf(word))));
    const counts = FACETS.map(() => new Map());
    const rows = [];
    for (const row of table.newest) {
      if (text && !text.has(row)) continue;
      // A facet's own choice doesn't lessen its other counts: choices within one facet add up, except for tags.
      let misses = 0;
      let missed = -1;
      const numbers = FACETS.map((facet) => table.numbers(facet, row));
      for (let f = 0; f < FACETS.length; f++) {
        if (!wanted[f].size) continue;
        const fits = FACETS[f] === "tag" ? [...wanted[f]].every((n) => numbers[f].includes(n)) : numbers[f].some((n) => wanted[f].has(n));
        if (!fits) { misses++; missed = f; }
      }
      if (misses === 0) rows.push(row);
      for (let f = 0; f < FACETS.length; f++) {
        if (misses > 1 || (misses === 1 && (missed !== f || FACETS[f] === "tag"))) continue;
        for (const number of numbers[f]) counts[f].set(number, (counts[f].get(number) ?? 0) + 1);
      }
    }
    this.rows = table.sorted(rows, this.form.sort.value);
    this.limit = STEP;
    this.showFacets(counts);
    this.showChosen();
    this.showRows();
  }

  showFacets(counts) {
    const held = document.activeElement?.dataset?.key;
    this.find("[data-facets]").replaceChildren(...FACETS.map((facet, f) => this.facet(facet, counts[f])).filter(Boolean));
    if (held) [...this.page.querySelectorAll("[data-key]")].find((element) => element.dataset.key === held)?.focus();
  }

  facet(facet, counts) {
    const words = this.table.words[facet];
    const all = [...counts].map(([number, total]) => [words[number], total]).sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
    const chosen = this.chosen[facet];
    for (const word of chosen) if (!all.some(([known]) => known === word)) all.push([word, 0]);
    if (all.length === 0) return null;
    const shown = all.filter(([word], place) => place < (this.unfolded.has(facet) ? 200 : FEW) || chosen.has(word));
    const group = make("fieldset", "cat-facet");
    group.append(make("legend", "", TITLES[facet]), ...shown.map(([word, total]) => this.choice(facet, word, total)));
    if (all.length > FEW && !this.unfolded.has(facet)) {
      const more = make("button", "", `${all.length - FEW} more`);
      more.type = "button";
      more.addEventListener("click", () => { this.unfolded.add(facet); this.update(); });
      group.append(more);
    }
    return group;
  }

  choice(facet, word, total) {
    const label = make("label");
    const box = Object.assign(make("input"), { type: "checkbox", checked: this.chosen[facet].has(word), autocomplete: "off" });
    box.dataset.key = `${facet}:${word}`;
    box.addEventListener("change", () => this.toggle(facet, word));
    label.append(box, make("span", "", word), make("span", "", total.toLocaleString("en")));
    return label;
  }

  toggle(facet, word) {
    if (!this.chosen[facet].delete(word)) this.chosen[facet].add(word);
    this.changed();
  }

  showChosen() {
    const buttons = FACETS.flatMap((facet) => [...this.chosen[facet]].map((word) => {
      const button = make("button", "", `${word} ×`);
      button.type = "button";
      button.setAttribute("aria-label", `Remove ${TITLES[facet]}: ${word}`);
      button.addEventListener("click", () => this.toggle(facet, word));
      return button;
    }));
    this.find(".cat-browse__chosen").replaceChildren(...buttons);
  }

  showRows() {
    const total = this.rows.length;
    this.find(".cat-browse__count").textContent = total === 1 ? "1 record" : `${total.toLocaleString("en")} records`;
    this.find("[data-rows]").replaceChildren(...this.rows.slice(0, this.limit).map((row) => this.row(row)));
    this.find("[data-more]").hidden = total <= this.limit;
  }

  row(row) {
    const { data, words } = this.table;
    const kind = words.kind[data.kind[row]];
    const item = make("li");
    const name = make("a", "cat-user", data.name[row]);
    name.href = this.table.href(row);
    const facts = make("span", "cat-rows__facts");
    const add = (text, look = "") => { if (text) facts.append(make("span", look, text)); };
    add(words.publisher[data.publisher[row]]);
    if (data.samples[row] >= 0) add(`${data.samples[row].toLocaleString("en")} ${data.samples[row] === 1 ? "sample" : "samples"}`);
    if (data.bytes[row] >= 0) add(size(data.bytes[row]));
    if (data.licence[row] >= 0) add(words.licence[data.licence[row]]);
    if (kind === "dataset" && data.schema[row] >= 0) add(words.schema[data.schema[row]], "cat-type");
    if (kind === "schema") add(words.schema[data.schema[row]].slice(data.name[row].length + 1), "cat-type");
    add(data.tag[row].slice(0, 4).map((number) => words.tag[number]).join(", "));
    item.append(make("span", `cat-kind cat-kind--${kind}`, kind), name);
    if (data.day[row] >= 0) item.append(make("time", "cat-rows__date", new Date(data.day[row] * 864e5).toISOString().slice(0, 10)));
    item.append(facts);
    return item;
  }
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
