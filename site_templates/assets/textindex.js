// Full-text index: words → rows of the browse page. catalog/site/textindex.py writes the files and documents the format.
// A query requests index.json once, one file of words for each of its words, and a few shards of row lists.

import { FileCache, request } from "./files.js";
import { FORMAT, LEVELS, MAX_BUCKETS, MAX_ROWS, MAX_SHARDS, MAX_SHOWN } from "./limits.js";
import { plan, question, rank, termsOf } from "./matching.js";

const MAX_EXTRA_SHARDS = 3; // requested only for other terms than those typed

/** @typedef {{ name: string, address: string, kind: string, publisher: string, tags: string, size: string, summary: string }} Result */
/** @typedef {{ words: string[], counts: number[], shards: number[], starts: number[], lengths: number[] }} WordFile */
/** @typedef {import("./matching.js").RowList} RowList */
/** @typedef {{ rows: Uint32Array, best: number[], full: number, dropped: string[], corrected: string | null, terms: Set<string> }} Found */
/** @typedef {(word: string, slips: number) => Promise<{ word: string, edits: number }[]>} Similar */

/**
 * @param {URL} root
 * @returns {Promise<Index>}
 */
export async function loadIndex(root) {
  // Not from the cache: an old index does not fit the files of a newer build.
  const response = await request(new URL("catalog/text/index.json", root), { cache: "no-cache" });
  return new Index(await response.json(), root);
}

/**
 * The number of the file that has a word, by its first two characters.
 * @param {string} word
 * @param {number} buckets
 * @returns {number}
 */
export function bucket(word, buckets) {
  let hash = 0;
  for (const letter of [...word].slice(0, 2)) hash = (Math.imul(hash, 31) + Number(letter.codePointAt(0))) >>> 0;
  return hash % buckets;
}

/**
 * The error for a file that breaks the format.
 * @param {string} path
 * @returns {Error}
 */
function damaged(path) {
  return new Error(`catalog/text/${path} is damaged`);
}

/**
 * @param {unknown} value
 * @param {number} least
 * @param {number} most
 * @returns {number}
 */
function count(value, least, most) {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < least || value > most) throw damaged("index.json");
  return value;
}

export class Index {
  #files = new FileCache();

  /**
   * @param {any} data the content of index.json
   * @param {URL} root
   */
  constructor(data, root) {
    this.root = root;
    this.rows = count(data.rows, 0, MAX_ROWS);
    this.total = count(data.total, this.rows, MAX_ROWS); // hand-written pages come after the rows
    this.buckets = count(data.buckets, 1, MAX_BUCKETS);
    this.shown = count(data.shown, 1, MAX_SHOWN);
    this.version = String(data.version);
    /** @type {[string, string, string][]} */
    this.pages = data.pages;
    if (data.format !== FORMAT) throw damaged("index.json");
    /** @type {Map<string, RowList[]>} */
    this.lists = new Map();
  }

  /**
   * The `rows` of a query, ascending, and the `best` of them, at most `limit`. The first `full` in order have all words of
   * the query, the others lack some of `dropped`. `corrected` is the query with other words in the place of those that no
   * record has; `terms` are those that were found. The last word matches as a prefix, too, unless a space follows it.
   * @param {string} query
   * @param {number} limit
   * @param {Similar} [similar] finds words of similar spelling; without it none is corrected
   * @returns {Promise<Found>}
   */
  async search(query, limit, similar) {
    const vocabulary = {
      total: this.rows, similar: similar ?? (async () => []),
      count: (/** @type {string} */ term) => this.#count(term), beginning: (/** @type {string} */ start) => this.#beginning(start),
    };
    const planned = await plan(question(query, true), vocabulary, !similar);
    const terms = termsOf(planned);
    await this.#load(planned, terms);
    const { order, ...found } = rank(planned, (term) => this.lists.get(term) ?? [], this.total, limit);
    return { ...found, best: order, corrected: planned.corrected, terms };
  }

  /**
   * The number of rows that have a term.
   * @param {string} term
   * @returns {Promise<number>}
   */
  async #count(term) {
    const { words, counts } = await this.#wordFile(term);
    return counts[words.indexOf(term)] ?? 0;
  }

  /**
   * The terms that begin so, with the number of their rows.
   * @param {string} start two characters or more
   * @returns {Promise<[string, number][]>}
   */
  async #beginning(start) {
    const { words, counts } = await this.#wordFile(start);
    return words.flatMap((term, place) => (term.startsWith(start) ? [/** @type {[string, number]} */ ([term, counts[place]])] : []));
  }

  /**
   * Load the rows of the terms: of those that are typed, and of others while they are in few more files.
   * @param {import("./matching.js").Plan} planned
   * @param {Set<string>} terms
   */
  async #load(planned, terms) {
    /** @type {Map<string, number>} */
    const steps = new Map();
    for (const group of planned.words.flatMap(({ ways }) => ways.flat())) {
      for (const [term, step] of group) steps.set(term, Math.min(step, steps.get(term) ?? step));
    }
    const places = await Promise.all([...terms].map(async (term) => {
      const file = await this.#wordFile(term);
      const place = file.words.indexOf(term);
      return { file, place, step: Number(steps.get(term)), count: file.counts[place] };
    }));
    places.sort((a, b) => a.step - b.step || b.count - a.count);
    const shards = new Set();
    let most = 0;
    const chosen = places.filter(({ file, place, step }) => {
      const shard = file.shards[place];
      if (step > 0 && !shards.has(shard) && shards.size >= most + MAX_EXTRA_SHARDS) return false;
      shards.add(shard);
      if (step === 0) most = shards.size;
      return true;
    });
    await Promise.all(chosen.map(({ file, place }) => this.#rowLists(file, place)));
  }

  /**
   * @param {string} word
   * @returns {Promise<WordFile>}
   */
  #wordFile(word) {
    const path = `words/${bucket(word, this.buckets)}.json`;
    return this.#file(path, async (response) => {
      const file = await response.json();
      const known = file.words ? String(file.words).split(" ") : [];
      const { counts, shards, start, lengths } = file;
      if (![counts, shards, lengths].every((numbers) => numbersOf(numbers, known.length)) || !numbersOf([start], 1)) throw damaged(path);
      let shard = 0;
      const summed = shards.map((/** @type {number} */ step) => (shard += step));
      if (shard > MAX_SHARDS) throw damaged(path);
      let end = start;
      const starts = lengths.map((/** @type {number} */ length, /** @type {number} */ place) => {
        if (place && shards[place]) end = 0; // the first of a shard
        end += length;
        return end - length;
      });
      return { words: known, counts, shards: summed, starts, lengths };
    });
  }

  /**
   * @param {WordFile} file
   * @param {number} place
   * @returns {Promise<RowList[]>}
   */
  async #rowLists({ words: known, shards, starts, lengths }, place) {
    let lists = this.lists.get(known[place]);
    if (!lists) {
      const path = `rows/${shards[place]}.bin`;
      const shard = await this.#file(path, async (response) => new Uint8Array(await response.arrayBuffer()));
      const end = starts[place] + lengths[place];
      if (end > shard.length) throw damaged(path);
      lists = decodeRowLists(shard.subarray(starts[place], end), this.total);
      this.lists.set(known[place], lists);
    }
    return lists;
  }

  /**
   * The search result of a row.
   * @param {number} row
   * @returns {Promise<Result>}
   */
  async shownOf(row) {
    if (row >= this.rows) {
      const [name, address, summary] = this.pages[row - this.rows];
      return { name, address, kind: "page", publisher: "", tags: "", size: "", summary };
    }
    const results = await this.#file(`shown/${Math.floor(row / this.shown)}.json`, (response) => response.json());
    const [name, address, kind, publisher, tags, size, summary] = results[row % this.shown];
    return { name, address, kind, publisher, tags, size, summary };
  }

  /**
   * A file of this build.
   * @template T
   * @param {string} path
   * @param {(response: Response) => Promise<T>} read
   * @returns {Promise<T>}
   */
  #file(path, read) {
    return this.#files.get(new URL(`catalog/text/${path}?v=${this.version}`, this.root), read);
  }
}

/**
 * Return true for an array of `length` numbers, none below 0.
 * @param {unknown} numbers
 * @param {number} length
 * @returns {boolean}
 */
function numbersOf(numbers, length) {
  return Array.isArray(numbers) && numbers.length === length && numbers.every((number) => Number.isSafeInteger(number) && number >= 0);
}

/**
 * The rows of a term by level: which levels have rows, then their lists. Each list is stored as steps from row to row
 * (LEB128), or as one bit for each row.
 * @param {Uint8Array} bytes
 * @param {number} total the number of rows
 * @returns {RowList[]}
 */
export function decodeRowLists(bytes, total) {
  let at = 0;
  const number = () => {
    let value = 0;
    for (let weight = 1; at < bytes.length && weight <= 2 ** 28; weight *= 128) {
      const byte = bytes[at++];
      value += (byte & 127) * weight;
      if (byte < 128) return value;
    }
    throw damaged("rows");
  };
  const list = () => {
    const head = number();
    const length = Math.floor(head / 2);
    if (length > total) throw damaged("rows");
    const rows = new Uint32Array(length);
    if (head % 2) {
      const end = at + Math.ceil(total / 8);
      if (end > bytes.length) throw damaged("rows");
      let place = 0;
      for (let row = 0; row < total; row++) if (bytes[at + (row >> 3)] >> (row & 7) & 1) rows[place++] = row;
      at = end;
    } else {
      let row = 0;
      for (let i = 0; i < length; i++) rows[i] = row += number();
      if (row >= total && length) throw damaged("rows");
    }
    return rows;
  };
  const mask = number();
  if (mask >= 2 ** LEVELS) throw damaged("rows");
  return Array.from({ length: LEVELS }, (_, level) => level).filter((level) => mask >> level & 1).map((level) => ({ rows: list(), level }));
}
