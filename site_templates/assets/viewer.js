// The row viewer: pages of samples, any sample by its number or key, samples by the values of a column.

import { button, element, withAttributes } from "./dom.js";
import { request } from "./files.js";
import { count, counted, t } from "./language.js";
import { rowOfAddress } from "./rows.js";
import { RowIndex, RowSource } from "./rowsource.js";
import { fieldsOf, release, show } from "./rowvalues.js";

const PAGE = 20;
const ENOUGH = 90_000; // bytes of the first page: it ends with the sample that exceeds them
const MAX_FIELDS = 60;

/** @typedef {import("./rowsource.js").Place} Place */
/** @typedef {import("./rowsource.js").Row} Row */
/** @typedef {import("./rowsource.js").ColumnValues} ColumnValues */

/**
 * The addresses of a dataset’s shards.
 * @param {any} storage of the record
 * @param {string} did
 * @param {string | null} pds
 * @returns {string[]}
 */
export function shardUrls(storage, did, pds) {
  /** @type {(string | { url?: string, key?: string, blob?: any })[]} */
  const shards = storage.shards ?? storage.urls ?? storage.blobs ?? [];
  return shards.map((shard) => {
    if (typeof shard === "string") return shard;
    if (shard.url) return shard.url;
    const cid = (shard.blob ?? shard)?.ref?.$link;
    if (cid && pds) return `${pds}/xrpc/com.atproto.sync.getBlob?did=${encodeURIComponent(did)}&cid=${encodeURIComponent(cid)}`;
    if (!shard.key) throw new Error("The files of this dataset have no addresses that a browser can read.");
    const endpoint = storage.endpoint ?? `https://s3.${storage.region ?? "us-east-1"}.amazonaws.com`;
    return `${endpoint.replace(/\/+$/, "")}/${encodeURIComponent(storage.bucket)}/${shard.key.split("/").map(encodeURIComponent).join("/")}`;
  });
}

/**
 * The numbers of the samples whose value of a column meets a condition.
 * @param {ColumnValues} found
 * @param {"=" | "≠" | "<" | ">"} operator
 * @param {string} text
 * @returns {number[]}
 */
export function matchingRows({ values, column }, operator, text) {
  const wanted = column.type === "number" ? Number(text) : column.type === "bool" ? Number(text === "true") + 1 : (column.words ?? []).indexOf(text) + 1;
  if (Number.isNaN(wanted) || (column.type === "number" && !text.trim())) throw new Error(`“${text}” isn’t a number.`);
  const tests = { "=": (/** @type {number} */ value) => value === wanted, "≠": (/** @type {number} */ value) => value !== wanted, "<": (/** @type {number} */ value) => value < wanted, ">": (/** @type {number} */ value) => value > wanted };
  const meets = tests[operator];
  const rows = [];
  for (let row = 0; row < values.length; row += 1) if (meets(values[row])) rows.push(row);
  return rows;
}

/**
 * @param {HTMLElement} section
 * @param {import("./rows.js").RowSettings} settings
 */
export async function openViewer(section, settings) {
  const { uri, record } = await (await request(new URL("index.json", location.href))).json();
  if (!record && !settings.shards) throw new Error("The record is too large to be part of this site; its samples can be read with the programs above.");
  const urls = settings.shards ?? shardUrls(record.storage, String(uri).split("/")[2], settings.pds);
  const index = settings.index === null ? null : await RowIndex.open(new URL(settings.index, location.href)).catch(() => null);
  const viewer = new Viewer(section, new RowSource({ shards: urls, format: settings.format, total: settings.total, index }));
  const first = rowOfAddress();
  await viewer.open(first ?? 0);
}

class Viewer {
  /** The places of the pages before. @type {Place[]} */
  #before = [];
  /** @type {Place} */
  #here = { shard: 0, byte: 0, number: 0 };
  /** @type {Place | null} */
  #next = null;
  /** The numbers of the samples that a filter left, and the place among them. @type {{ rows: number[], at: number } | null} */
  #filter = null;
  #turn = 0;

  /**
   * @param {HTMLElement} section
   * @param {RowSource} source
   */
  constructor(section, source) {
    this.source = source;
    this.box = withAttributes(element("div", "cat-viewer"), { tabindex: -1, role: "group", "aria-label": t("Row viewer") });
    this.previous = button("cat-button", t("Previous"));
    this.following = button("cat-button", t("Next"));
    this.status = withAttributes(element("p", "cat-quiet cat-viewer__status"), { role: "status" });
    /** @type {HTMLElement} */
    this.list = element("div");
    const bar = element("div", "cat-viewer__bar");
    bar.append(this.previous, this.following, this.#goForm(), ...(source.index?.header.columns.length ? [this.#filterForm()] : []));
    this.box.append(bar, this.status, this.list);
    section.append(this.box);
    this.previous.addEventListener("click", () => this.#turnPage(-1));
    this.following.addEventListener("click", () => this.#turnPage(1));
    window.addEventListener("hashchange", () => {
      const number = rowOfAddress();
      if (number !== null && this.box.isConnected) this.#go(number);
    });
  }

  /** @param {number} number */
  async open(number) {
    this.#here = await this.source.find(this.#within(number));
    await this.#load(number === 0 ? ENOUGH : undefined);
  }

  /** @param {number} number */
  #within(number) {
    return Math.max(0, Math.min(number, (this.source.total ?? number + 1) - 1));
  }

  #goForm() {
    const form = element("form", "cat-viewer__form");
    const keyed = Boolean(this.source.index?.header.keys);
    const input = withAttributes(element("input", "cat-field"), { type: "text", inputmode: keyed ? "text" : "numeric", "aria-label": keyed ? t("Number or key of a sample") : t("Number of a sample"), placeholder: keyed ? t("Number or key") : t("Number"), size: 12 });
    const go = element("button", "cat-button", t("Go"));
    form.append(input, go);
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const text = input.value.trim();
      if (/^\d{1,12}$/.test(text.replaceAll(",", ""))) this.#go(Number(text.replaceAll(",", "")));
      else if (text) await this.#attempt(async () => this.#go(await this.#numberOf(text)));
    });
    return form;
  }

  /** @param {string} key */
  async #numberOf(key) {
    const number = (await this.source.index?.keys())?.indexOf(key) ?? -1;
    if (number < 0) throw new Error(this.source.index?.header.keys ? `No sample has the key “${key}”.` : "Samples can be chosen by their number here.");
    return number;
  }

  #filterForm() {
    const form = element("form", "cat-viewer__form");
    const columns = this.source.index?.header.columns ?? [];
    const column = withAttributes(element("select", "cat-field"), { "aria-label": t("Column") });
    column.append(...columns.map(({ name }) => new Option(name, name)));
    const operator = withAttributes(element("select", "cat-field"), { "aria-label": t("Condition") });
    const value = element("span");
    const clear = button("cat-button", t("All"));
    clear.hidden = true;
    const choose = () => {
      const chosen = columns.find(({ name }) => name === column.value) ?? columns[0];
      operator.replaceChildren(...(chosen.type === "number" ? ["=", "≠", "<", ">"] : ["=", "≠"]).map((one) => new Option(one, one)));
      const words = chosen.type === "bool" ? ["true", "false"] : chosen.words;
      const field = withAttributes(element(words ? "select" : "input", "cat-field"), { "aria-label": t("Value") });
      if (words) field.append(...words.map((one) => new Option(one === "" ? t("(empty)") : one, one)));
      else withAttributes(field, { type: "text", inputmode: "decimal", size: 8, placeholder: chosen.low === undefined ? "" : t("{low} to {high}", { low: chosen.low, high: chosen.high ?? "" }) });
      value.replaceChildren(field);
    };
    column.addEventListener("change", choose);
    choose();
    form.append(column, operator, value, element("button", "cat-button", t("Filter")), clear);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#attempt(async () => {
        const field = /** @type {HTMLInputElement} */ (value.firstElementChild);
        const found = await /** @type {RowIndex} */ (this.source.index).column(column.value);
        const rows = matchingRows(found, /** @type {"="} */ (operator.value), field.value);
        this.#filter = { rows, at: 0 };
        clear.hidden = false;
        await this.#load();
      });
    });
    clear.addEventListener("click", () => {
      this.#filter = null;
      clear.hidden = true;
      this.#go(0);
    });
    return form;
  }

  /** @param {number} number */
  #go(number) {
    this.#filter = null;
    return this.#attempt(async () => {
      this.#before = [];
      await this.open(number);
    });
  }

  /** @param {1 | -1} by */
  #turnPage(by) {
    return this.#attempt(async () => {
      const { number } = this.#here;
      if (this.#filter) this.#filter.at = Math.max(0, this.#filter.at + by * PAGE);
      else if (by > 0 && this.#next) {
        this.#before.push(this.#here);
        this.#here = this.#next;
      } else if (by < 0) this.#here = this.#before.pop() ?? await this.source.find(Math.max(0, (number ?? 0) - PAGE));
      await this.#load();
    });
  }

  /**
   * Do something that may fail; the reason is shown.
   * @param {() => Promise<unknown>} action
   */
  async #attempt(action) {
    this.box.setAttribute("aria-busy", "true");
    this.status.textContent = t("Reading …");
    try {
      await action();
    } catch (error) {
      this.status.textContent = error instanceof Error ? error.message : String(error);
    }
    this.box.removeAttribute("aria-busy");
  }

  /** @param {number} [enough] */
  async #load(enough) {
    this.#turn += 1;
    const turn = this.#turn;
    const [bytes, requests] = [this.source.bytes, this.source.requests];
    const filter = this.#filter;
    const chosen = filter?.rows.slice(filter.at, filter.at + PAGE) ?? [];
    // Matches lie apart, each is a request: the first is shown before the others are there.
    const first = chosen.length > 1 ? await this.#items(await this.source.rows(chosen.slice(0, 1))) : [];
    if (turn !== this.#turn) return; // another page was asked for meanwhile
    if (first.length) this.#display(first);
    const { rows, next } = filter
      ? { rows: await this.source.rows(chosen.slice(first.length)), next: null }
      : await this.source.page(this.#here, PAGE, enough);
    const items = [...first, ...await this.#items(rows)];
    if (turn !== this.#turn) return;
    this.#next = next;
    this.#display(items);
    this.previous.disabled = filter ? filter.at === 0 : this.#here.shard === 0 && !this.#here.byte && !this.#here.number;
    this.following.disabled = filter ? filter.at + PAGE >= filter.rows.length : !next;
    const read = t("{n} kB in {requests}", { n: count(Math.ceil((this.source.bytes - bytes) / 1000)), requests: counted(this.source.requests - requests, "request") });
    this.status.textContent = `${this.#range(items.map(({ row }) => row))} · ${read}`;
  }

  /** @param {Row[]} rows */
  #items(rows) {
    return Promise.all(rows.map((row) => this.#item(row)));
  }

  /** @param {Item[]} items */
  #display(items) {
    release(this.list);
    const list = items.some(({ fields }) => fields.some(({ form }) => form === "media")) || items.length < 2 ? tiles(items) : table(items);
    this.list.replaceWith(list);
    this.list = list;
  }

  /** @param {Row[]} rows */
  #range(rows) {
    if (this.#filter) {
      const { at, rows: { length } } = this.#filter;
      return length ? t("Matches {first} to {last} of {total}", { first: count(at + 1), last: count(at + rows.length), total: count(length) }) : t("No sample matches");
    }
    if (!rows.length) return t("No samples here");
    const [first, last, { total }] = [rows[0].number, rows[rows.length - 1].number, this.source];
    if (first === null || last === null) return counted(rows.length, "sample");
    if (rows[0].about) return t("Samples near {first} of {total}, counted from 0; the exact numbers aren’t known", { first: count(first), total: count(total ?? 0) });
    if (total === null) return t("Samples {first} to {last}, counted from 0", { first: count(first), last: count(last) });
    return t("Samples {first} to {last} of {total}, counted from 0", { first: count(first), last: count(last), total: count(total) });
  }

  /**
   * The fields of a sample as elements.
   * @param {Row} row
   * @returns {Promise<Item>}
   */
  async #item(row) {
    /** @type {Item} */
    const item = { row, fields: [], note: "" };
    try {
      const fields = fieldsOf(row.sample, this.source.format);
      for (const [name, value] of fields.slice(0, MAX_FIELDS)) {
        const shown = await show(value, name).catch((error) => ({ node: element("span", "cat-quiet", t("can’t be read: {reason}", { reason: error.message })), form: /** @type {const} */ ("short") }));
        item.fields.push({ name: name.slice(0, 100), ...shown });
      }
      if (fields.length > MAX_FIELDS) item.note = t("{n} more fields.", { n: fields.length - MAX_FIELDS });
    } catch (error) {
      item.note = t("This sample can’t be read: {reason}", { reason: error instanceof Error ? error.message : String(error) });
    }
    return item;
  }
}

/** @typedef {{ row: Row, fields: ({ name: string } & import("./rowvalues.js").Shown)[], note: string }} Item */

/**
 * The number of a sample, linked, and its key.
 * @param {Row} row
 * @returns {(Node | string)[]}
 */
function heading({ number, about, sample }) {
  const key = element("bdi", "cat-quiet", sample.key.slice(0, 200));
  if (number === null || about) return [key];
  const link = element("a", "", count(number));
  link.href = `#row-${number}`;
  return [link, " ", key];
}

/**
 * Samples with pictures, plots or sound as tiles.
 * @param {Item[]} items
 */
function tiles(items) {
  const list = element("ol", "cat-samples cat-samples--wide cat-viewer__list");
  for (const { row, fields, note } of items) {
    const item = element("li", "cat-sample");
    if (row.number !== null && !row.about) item.dataset.row = String(row.number);
    const head = element("p", "cat-viewer__head");
    head.append(...heading(row));
    const facts = element("dl");
    for (const { name, node, form } of fields) {
      const [pair, term, definition] = [element("div", form === "short" ? "" : "cat-viewer__wide"), element("dt"), element("dd")];
      term.append(element("bdi", "", name));
      definition.append(node);
      pair.append(term, definition);
      facts.append(pair);
    }
    item.append(head, facts, ...(note ? [element("p", "cat-quiet cat-viewer__note", note)] : []));
    list.append(item);
  }
  return list;
}

/**
 * Other samples as rows of a table.
 * @param {Item[]} items
 */
function table(items) {
  const names = [...new Set(items.flatMap(({ fields }) => fields.map(({ name }) => name)))].slice(0, MAX_FIELDS);
  const box = withAttributes(element("div", "cat-scroll"), { tabindex: 0, role: "region", "aria-label": t("Samples") });
  const made = element("table", "cat-table cat-first cat-viewer__list");
  const head = made.createTHead().insertRow();
  for (const name of [t("Sample"), ...names]) {
    const cell = withAttributes(element("th"), { scope: "col" });
    cell.append(element("bdi", "", name));
    head.append(cell);
  }
  const body = made.createTBody();
  for (const { row, fields, note } of items) {
    const line = body.insertRow();
    if (row.number !== null && !row.about) line.dataset.row = String(row.number);
    const cell = withAttributes(element("th"), { scope: "row" });
    cell.append(...heading(row));
    line.append(cell);
    const byName = new Map(fields.map((field) => [field.name, field]));
    for (const name of names) {
      const field = byName.get(name);
      const place = line.insertCell();
      if (field) place.append(field.node);
    }
    if (note) (line.cells[1] ?? line.insertCell()).append(element("span", "cat-quiet", note));
  }
  box.append(made);
  return box;
}
