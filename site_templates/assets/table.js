// The columns of the browse page, and the details of its rows in chunks. catalog/site/facets.py writes the files and
// documents their format.

import { FileCache, request } from "./files.js";
import { MAX_ROWS, MAX_WORDS_PER_ROW } from "./limits.js";
import { decodeDigits, decodeShort } from "./numbers.js";

const MAX_MONTHS = 24; // above, years are offered

/** @typedef {{ starts: Uint32Array, numbers: Uint32Array }} Column row `r` has the words `numbers[starts[r]]` … `numbers[starts[r + 1] - 1]` */
/** @typedef {{ counts: string, steps: Record<string, string[]> }} PackedLists */
/** @typedef {string | PackedLists | { of: string, says: PackedLists }} PackedColumn */
/** @typedef {{ words: string[], totals: Uint32Array, packed?: PackedColumn | null, months?: number[] } & Partial<Column>} Facet */
/** @typedef {{ words: string[], totals: Uint32Array } & Column} LoadedFacet */
/**
 * @typedef {object} Chunk the details of some rows, a list for each
 * @property {string[]} name
 * @property {number[]} bytes
 * @property {number[]} samples
 * @property {number[]} day
 * @property {string[]} folders
 * @property {number[]} folder
 * @property {string[]} place
 * @property {Record<string, string>} [ends] by the place of a lens
 * @property {number[][]} tag
 * @property {number[]} kind
 * @property {number[]} publisher
 * @property {number[]} licence
 * @property {number[]} schema
 * @property {number[]} state
 */
/**
 * @typedef {object} Details
 * @property {string} name
 * @property {string} address
 * @property {string} kind
 * @property {string} publisher
 * @property {string} licence
 * @property {string} schema
 * @property {string} state
 * @property {string} ends
 * @property {string[]} tags
 * @property {number} bytes -1 if unknown
 * @property {number} samples -1 if unknown
 * @property {number} day days since 1970, -1 if unknown
 */

/**
 * @param {URL} root
 * @returns {Promise<Table>}
 */
export async function loadTable(root) {
  // Not from the cache: old columns do not fit the files of a newer build.
  const response = await request(new URL("catalog/facets.json", root), { cache: "no-cache" });
  return new Table(await response.json(), root);
}

/**
 * The error for a column that breaks the format.
 * @returns {Error}
 */
function damaged() {
  return new Error("a column of the browse page is damaged");
}

/**
 * @param {string | PackedLists} packed
 * @param {number} length the number of rows
 * @returns {Column}
 */
export function decodeColumn(packed, length) {
  return typeof packed === "string" ? decodeSingle(packed, length) : decodeLists(packed, length);
}

/**
 * A column with at most one word a row.
 * @param {string} text
 * @param {number} length
 * @returns {Column}
 */
function decodeSingle(text, length) {
  const given = decodeShort(text);
  if (given.length !== length) throw damaged();
  const starts = new Uint32Array(length + 1);
  const dense = new Uint32Array(length);
  let end = 0;
  given.forEach((number, row) => {
    if (number) dense[end++] = number - 1;
    starts[row + 1] = end;
  });
  return { starts, numbers: dense.subarray(0, end) };
}

/**
 * A column with any number of words a row.
 * @param {PackedLists} packed
 * @param {number} length
 * @returns {Column}
 */
function decodeLists({ counts, steps }, length) {
  const each = decodeShort(counts);
  if (each.length !== length) throw damaged();
  /** @type {Map<number, number>} */
  const rows = new Map(); // rows by their number of words
  for (const many of each) rows.set(many, (rows.get(many) ?? 0) + 1);
  /** @type {Map<number, Uint32Array[]>} */
  const places = new Map();
  for (const [many, rowsOfSize] of rows) {
    const texts = many ? steps[many] : [];
    if (many > MAX_WORDS_PER_ROW || !Array.isArray(texts) || texts.length !== many) throw damaged();
    const decoded = texts.map(decodeShort);
    if (decoded.some((numbers) => numbers.length !== rowsOfSize)) throw damaged();
    places.set(many, decoded);
    rows.set(many, 0);
  }
  const starts = new Uint32Array(length + 1);
  const all = new Uint32Array(each.reduce((sum, many) => sum + many, 0));
  each.forEach((many, row) => {
    const lists = places.get(many) ?? [];
    const at = rows.get(many) ?? 0;
    let number = -1;
    for (let place = 0; place < many; place++) all[starts[row] + place] = number += lists[place][at] + 1;
    rows.set(many, at + 1);
    starts[row + 1] = starts[row] + many;
  });
  return { starts, numbers: all };
}

/**
 * The column of a facet that rows have through another one: a dataset has the array types of its schema.
 * @param {Column} inner words of the other facet's words
 * @param {Column} outer words of rows
 * @returns {Column}
 */
function join(inner, outer) {
  const starts = new Uint32Array(outer.starts.length);
  const found = [];
  for (let row = 0; row < outer.starts.length - 1; row++) {
    for (let i = outer.starts[row]; i < outer.starts[row + 1]; i++) {
      for (let k = inner.starts[outer.numbers[i]]; k < inner.starts[outer.numbers[i] + 1]; k++) found.push(inner.numbers[k]);
    }
    starts[row + 1] = found.length;
  }
  return { starts, numbers: Uint32Array.from(found) };
}

export class Table {
  #files = new FileCache();
  /** @type {Map<number, Chunk>} */
  #chunks = new Map();

  /**
   * @param {any} data the content of facets.json
   * @param {URL} root
   */
  constructor(data, root) {
    if (!(Number.isSafeInteger(data.length) && data.length >= 0 && data.length <= MAX_ROWS)) throw damaged();
    this.root = root;
    /** @type {number} */
    this.length = data.length;
    /** @type {number} */
    this.chunk = data.chunk;
    /** @type {string[]} */
    this.sections = data.sections;
    /** @type {string} */
    this.version = data.version;
    /** @type {Record<string, Facet>} */
    this.facets = {};
    for (const [name, facet] of Object.entries(data.facets)) this.facets[name] = { words: facet.words, totals: decodeShort(facet.totals), packed: facet.column };
    this.months = this.facets.updated;
    if (this.months.words.length > MAX_MONTHS) this.facets.updated = years(this.months);
  }

  /**
   * A file of this build.
   * @param {string} path
   * @returns {Promise<any>}
   */
  #file(path) {
    return this.#files.get(new URL(`catalog/${path}.json?v=${this.version}`, this.root), (response) => response.json());
  }

  /**
   * Load the columns of these facets.
   * @param {string[]} names
   * @returns {Promise<LoadedFacet[]>}
   */
  need(names) {
    return Promise.all(names.map((name) => this.#column(name)));
  }

  /**
   * @param {string} name
   * @returns {boolean}
   */
  loaded(name) {
    return Boolean(this.facets[name].starts);
  }

  /**
   * @param {string} name
   * @returns {Promise<LoadedFacet>}
   */
  async #column(name) {
    const facet = this.facets[name];
    const { months } = facet;
    if (!months) return this.#load(facet, name);
    const { starts, numbers } = await this.#load(this.months, name);
    return Object.assign(facet, { starts, numbers: numbers.map((number) => months[number]) });
  }

  /**
   * @param {Facet} facet
   * @param {string} name
   * @returns {Promise<LoadedFacet>}
   */
  async #load(facet, name) {
    if (facet.starts) return /** @type {LoadedFacet} */ (facet);
    /** @type {PackedColumn} */
    const packed = facet.packed ?? await this.#file(`columns/${name}`);
    const column = typeof packed === "object" && "of" in packed
      ? join(decodeLists(packed.says, this.facets[packed.of].words.length), await this.#column(packed.of))
      : decodeColumn(packed, this.length);
    return Object.assign(facet, column, { packed: null });
  }

  /**
   * The rows that match all choices, and for each facet of `counted` the number of rows for each of its words. The columns
   * of both must be loaded (`need`).
   * @param {Record<string, Set<string>>} chosen
   * @param {Set<number> | null} only the rows to look at; null for all
   * @param {string[]} counted
   * @returns {{ rows: number[], counts: Record<string, Uint32Array> }}
   */
  filter(chosen, only, counted) {
    const tests = Object.keys(chosen).filter((name) => chosen[name].size).map((name) => ({ name, matches: this.#test(name, chosen[name]) }));
    const columns = counted.map((name) => /** @type {LoadedFacet} */ (this.facets[name]));
    const counts = columns.map(({ words }) => new Uint32Array(words.length));
    const own = tests.map(({ name }) => (name === "tag" ? -1 : counted.indexOf(name)));
    /** @type {number[]} */
    const rows = [];
    const count = (/** @type {number} */ row, /** @type {number} */ c) => {
      const { starts, numbers } = columns[c];
      for (let i = starts[row]; i < starts[row + 1]; i++) counts[c][numbers[i]]++;
    };
    for (let row = 0; row < this.length; row++) {
      if (only && !only.has(row)) continue;
      // Choices within a facet are alternatives (tags are not), so they do not reduce the counts of its other words.
      let missed = -1;
      let misses = 0;
      for (let t = 0; t < tests.length && misses < 2; t++) if (!tests[t].matches(row)) { missed = t; misses++; }
      if (misses === 0) {
        rows.push(row);
        for (let c = 0; c < columns.length; c++) count(row, c);
      } else if (misses === 1 && own[missed] >= 0) count(row, own[missed]);
    }
    return { rows, counts: Object.fromEntries(counted.map((name, c) => [name, counts[c]])) };
  }

  /**
   * The test of a row against the choices in one facet.
   * @param {string} name
   * @param {Set<string>} chosen
   * @returns {(row: number) => boolean}
   */
  #test(name, chosen) {
    const words = [...chosen];
    const monthly = name === "updated" && words.some((word) => word.length > 4);
    const { starts, numbers, words: known } = /** @type {LoadedFacet} */ (monthly ? this.months : this.facets[name]);
    const matching = words.map((word) => {
      const prefix = { schema: `${word} · `, updated: `${word}-` }[name]; // all versions of a schema, all months of a year
      return known.flatMap((other, number) => (other === word || (prefix && other.startsWith(prefix)) ? [number] : []));
    });
    const masks = (name === "tag" ? matching : [matching.flat()]).map((wanted) => {
      const mask = new Uint8Array(known.length);
      wanted.forEach((number) => { mask[number] = 1; });
      return mask;
    });
    const has = (/** @type {number} */ row, /** @type {Uint8Array} */ mask) => {
      for (let i = starts[row]; i < starts[row + 1]; i++) if (mask[numbers[i]]) return true;
      return false;
    };
    return (row) => masks.every((mask) => has(row, mask));
  }

  /**
   * All rows, sorted by name, size, samples or updated.
   * @param {string} name
   * @returns {Promise<Uint32Array>}
   */
  async order(name) {
    let row = -1;
    return decodeDigits(await this.#file(`orders/${name}`)).map((step) => (row = (row + step) % this.length));
  }

  /**
   * The details of a row, if its chunk is loaded.
   * @param {number} row
   * @returns {Details | undefined}
   */
  known(row) {
    const chunk = this.#chunks.get(Math.floor(row / this.chunk));
    return chunk && this.#details(chunk, row % this.chunk);
  }

  /**
   * The details of a row.
   * @param {number} row
   * @returns {Promise<Details>}
   */
  async details(row) {
    const number = Math.floor(row / this.chunk);
    /** @type {Chunk} */
    const chunk = await this.#file(`rows/${number}`);
    this.#chunks.set(number, chunk);
    return this.#details(chunk, row % this.chunk);
  }

  /**
   * The names of all rows.
   * @returns {Promise<string[]>}
   */
  async names() {
    /** @type {Chunk[]} */
    const chunks = await Promise.all(Array.from({ length: Math.ceil(this.length / this.chunk) }, (_, number) => this.#file(`rows/${number}`)));
    return chunks.flatMap((chunk) => chunk.name);
  }

  /**
   * @param {Chunk} chunk
   * @param {number} place
   * @returns {Details}
   */
  #details(chunk, place) {
    const word = (/** @type {"kind" | "publisher" | "licence" | "schema" | "state"} */ facet) => this.facets[facet].words[chunk[facet][place]] ?? "";
    const section = this.sections[chunk.kind[place]];
    return {
      name: chunk.name[place], bytes: chunk.bytes[place], samples: chunk.samples[place], day: chunk.day[place],
      address: `${section}/${chunk.folders[chunk.folder[place]]}/${chunk.place[place]}/`,
      kind: word("kind"), publisher: word("publisher"), licence: word("licence"), schema: word("schema"), state: word("state"),
      ends: chunk.ends?.[place] ?? "",
      tags: chunk.tag[place].map((number) => this.facets.tag.words[number]),
    };
  }
}

/**
 * A facet of months as one of years.
 * @param {Facet} facet
 * @returns {Facet}
 */
function years({ words: months, totals }) {
  const words = [...new Set(months.map((month) => month.slice(0, 4)))];
  const numbers = months.map((month) => words.indexOf(month.slice(0, 4)));
  const sums = new Uint32Array(words.length);
  numbers.forEach((number, month) => { sums[number] += totals[month]; });
  return { words, totals: sums, months: numbers };
}
