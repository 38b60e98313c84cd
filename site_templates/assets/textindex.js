// Full-text index: words → rows of the browse page. catalog/site/textindex.py writes the files and documents the format.
// A query requests index.json once, one file of words for each of its words, and a few shards of row lists.

import { FileCache, request } from "./files.js";
import { FORMAT, LEVELS, MAX_BUCKETS, MAX_ROWS, MAX_SHARDS, MAX_SHOWN } from "./limits.js";
import { plan, question, rank, termsOf } from "./matching.js";
import { decodeShort } from "./numbers.js";

const MAX_EXTRA_SHARDS = 6; // requested only for other terms than those typed

/** @typedef {{ name: string, address: string, kind: string, publisher: string, tags: string, size: string, summary: string }} Result */
/** @typedef {{ words: string[], counts: Uint32Array, shards: number[], starts: number[], lengths: Uint32Array, pages: Set<number> }} WordFile `pages`: the places of words of hand-written pages */
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
   * Hand-written pages have no part in that: those with all words follow the records with all words.
   * @param {string} query
   * @param {number} limit
   * @param {Similar} [similar] finds words of similar spelling; without it none is corrected
   * @returns {Promise<Found>}
   */
  async search(query, limit, similar) {
    const asked = question(query, true);
    const none = async () => [];
    const planned = await plan(asked, this.#vocabulary(this.rows, similar ?? none, ({ counts }, place) => counts[place]), !similar);
    const pages = this.total - this.rows;
    const guides = pages ? await plan(asked, this.#vocabulary(pages, none, (file, place) => Number(file.pages.has(place))), true) : null;
    const terms = termsOf(planned);
    await this.#load(planned, terms);
    const lists = (/** @type {string} */ term) => this.lists.get(term) ?? [];
    const { rows, order, full, dropped } = rank(planned, lists, this.rows, limit); // ignores the rows of pages
    /** @type {number[]} */
    let also = [];
    if (guides) {
      await this.#load(guides, termsOf(guides));
      const shifted = (/** @type {string} */ term) => lists(term).map(({ rows: own, level }) => ({ level, rows: own.filter((row) => row >= this.rows).map((row) => row - this.rows) }));
      const ranked = rank(guides, shifted, pages, pages);
      also = ranked.order.slice(0, ranked.full).map((page) => page + this.rows);
      for (const term of termsOf(guides)) terms.add(term);
    }
    return {
      rows: Uint32Array.from([...rows, ...[...also].sort((a, b) => a - b)]), best: [...order.slice(0, full), ...also, ...order.slice(full)].slice(0, limit),
      full: full + also.length, dropped, corrected: planned.corrected, terms,
    };
  }

  /**
   * The words of records, or of pages. `countOf` is the number of them that have the word at a place of a file.
   * @param {number} total
   * @param {Similar} similar
   * @param {(file: WordFile, place: number) => number} countOf
   * @returns {import("./matching.js").Vocabulary}
   */
  #vocabulary(total, similar, countOf) {
    return {
      total, similar,
      count: async (term) => {
        const file = await this.#wordFile(term);
        const place = file.words.indexOf(term);
        return place < 0 ? 0 : countOf(file, place);
      },
      beginning: async (start) => {
        const file = await this.#wordFile(start);
        return file.words.flatMap((term, place) => {
          const own = term.startsWith(start) ? countOf(file, place) : 0;
          return own ? [/** @type {[string, number]} */ ([term, own])] : [];
        });
      },
    };
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
      const rest = file.words ? String(file.words).split(" ") : [];
      const [same, counts, steps, lengths, pages] = [file.same, file.counts, file.shards, file.lengths, file.pages].map((text) => decodeShort(String(text)));
      if ([same, counts, steps, lengths].some((numbers) => numbers.length !== rest.length) || !Number.isSafeInteger(file.start) || file.start < 0) throw damaged(path);
      let last = "";
      const words = rest.map((end, place) => (last = [...last].slice(0, same[place]).join("") + end));
      let shard = 0;
      const shards = Array.from(steps, (step) => (shard += step));
      if (shard > MAX_SHARDS) throw damaged(path);
      let end = file.start;
      const starts = Array.from(lengths, (length, place) => {
        if (place && steps[place]) end = 0; // the first of a shard
        end += length;
        return end - length;
      });
      let at = 0;
      return { words, counts, shards, starts, lengths, pages: new Set(Array.from(pages, (step) => (at += step))) };
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
 * The rows of a term by level, encoded by `encode_rows` of catalog/store/index_format.py: one row, or which levels have rows and
 * their lists. Each list is stored as gaps from row to row (a Rice code), or as one bit for each row.
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
    if (length > total || !length) throw damaged("rows");
    const rows = new Uint32Array(length);
    if (head % 2) {
      const end = at + Math.ceil(total / 8);
      if (end > bytes.length) throw damaged("rows");
      let place = 0;
      for (let row = 0; row < total; row++) if (bytes[at + (row >> 3)] >> (row & 7) & 1) rows[place++] = row;
      at = end;
    } else at = decodeGaps(bytes, at, rows, total);
    return rows;
  };
  const head = number();
  if (head < LEVELS) {
    const row = number();
    if (row >= total) throw damaged("rows");
    return [{ rows: Uint32Array.of(row), level: head }];
  }
  const mask = head - LEVELS;
  if (mask >= 2 ** LEVELS) throw damaged("rows");
  return Array.from({ length: LEVELS }, (_, level) => level).filter((level) => mask >> level & 1).map((level) => ({ rows: list(), level }));
}

/**
 * Decode gaps between rows: the upper bits of each in unary, the lower ones as they are. Fill `rows`, and return the place after.
 * @param {Uint8Array} bytes
 * @param {number} start
 * @param {Uint32Array} rows
 * @param {number} total
 * @returns {number}
 */
function decodeGaps(bytes, start, rows, total) {
  const kept = Math.max(0, 31 - Math.clz32(Math.floor(7 * total / (10 * rows.length))));
  const end = 8 * bytes.length;
  let bit = 8 * start;
  let row = -1;
  for (let i = 0; i < rows.length; i++) {
    let upper = 0;
    while (bit < end && !(bytes[bit >> 3] >> (bit & 7) & 1)) { upper++; bit++; }
    bit++;
    if (bit + kept > end) throw damaged("rows");
    let lower = 0;
    for (let place = 0; place < kept; place++, bit++) lower |= (bytes[bit >> 3] >> (bit & 7) & 1) << place;
    row += upper * 2 ** kept + lower + 1;
    if (row >= total) throw damaged("rows");
    rows[i] = row;
  }
  return Math.ceil(bit / 8);
}
