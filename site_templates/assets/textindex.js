// Full-text index: words → rows of the browse page. catalog/site/textindex.py writes the files and documents the format.
// A query requests index.json once, one file of words for each of its words, and a few shards of row lists.

import { FileCache, request } from "./files.js";
import { LEVELS, MAX_BUCKETS, MAX_ROWS, MAX_SHARDS, MAX_SHOWN } from "./limits.js";

const FIELD_WEIGHTS = [10, 4, 1]; // a match in the name; in tags, schema, fields or publisher; in the description
const PREFIX_WEIGHT = 0.6; // of a word that only begins with the query's
const MAX_QUERY_WORDS = 8;
const MAX_EXPANSIONS = 24;
const MAX_EXTRA_SHARDS = 3; // requested only for words that begin with the query's
const MAX_WORD_LENGTH = 32;
const UNSPACED = /[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\u1100-\u11ff\uac00-\ud7af]/;

/** @typedef {{ name: string, address: string, kind: string, publisher: string, tags: string, size: string, summary: string }} Result */
/** @typedef {{ words: string[], counts: number[], shards: number[], starts: number[], lengths: number[] }} WordFile */
/** @typedef {{ lists: Uint32Array[], count: number, weight: number }} WordMatch */

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
 * The tokens of a text, in their order: the tokenizer of catalog/store/tokenizer.py (cases: tests/data/tokens.json).
 * @param {string} text
 * @returns {string[]}
 */
export function tokenize(text) {
  const folded = text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase().replaceAll("ς", "σ");
  return [...folded.matchAll(/[\p{L}\p{N}]+/gu)].flatMap(([word]) => {
    const letters = [...word].slice(0, MAX_WORD_LENGTH);
    const pairs = letters.slice(1).map((letter, place) => letters[place] + letter);
    return pairs.length && UNSPACED.test(word) ? pairs : [letters.join("")];
  });
}

/**
 * The words of a query, each once.
 * @param {string} text
 * @returns {string[]}
 */
export function words(text) {
  return [...new Set(tokenize(text))].slice(0, MAX_QUERY_WORDS);
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
    /** @type {Map<string, Uint32Array[]>} */
    this.lists = new Map();
  }

  /**
   * The `rows` with all words of a query, ascending, and the `best` of them, at most `limit`. The last word matches as a
   * prefix, too, unless a space follows it; so does a word that is not in the index.
   * @param {string} query
   * @param {number} limit
   * @returns {Promise<{ rows: Uint32Array, best: number[] }>}
   */
  async search(query, limit) {
    const wanted = words(query);
    if (!wanted.length) return { rows: new Uint32Array(), best: [] };
    const open = !/\s$/.test(query);
    const matched = new Uint8Array(this.total); // the number of words that a row has
    const scores = new Float32Array(this.total);
    const matches = await Promise.all(wanted.map((word, place) => this.#matches(word, open && place === wanted.length - 1)));
    matches.forEach((found, place) => {
      const own = new Float32Array(this.total);
      for (const { lists, count: rows, weight } of found) {
        const rarity = weight * Math.log(1 + this.total / Math.max(1, rows));
        lists.forEach((list, field) => {
          const score = rarity * FIELD_WEIGHTS[field];
          for (let i = 0; i < list.length; i++) if (own[list[i]] < score) own[list[i]] = score;
        });
      }
      for (let row = 0; row < own.length; row++) if (own[row] && matched[row] === place) { matched[row]++; scores[row] += own[row]; }
    });
    let length = 0;
    for (let row = 0; row < this.total; row++) if (matched[row] === wanted.length) length++;
    const rows = new Uint32Array(length);
    /** @type {number[]} */
    const best = [];
    length = 0;
    for (let row = 0; row < this.total; row++) {
      if (matched[row] !== wanted.length) continue;
      rows[length++] = row;
      if (best.length < limit || scores[row] > scores[best[best.length - 1]]) {
        let place = best.length;
        while (place > 0 && scores[best[place - 1]] < scores[row]) place--;
        best.splice(place, 0, row);
        if (best.length > limit) best.pop();
      }
    }
    return { rows, best };
  }

  /**
   * Return true if some record has this word, or a word that begins with it.
   * @param {string} word
   * @returns {Promise<boolean>}
   */
  async has(word) {
    const { words: known } = await this.#wordFile(word);
    return known.some((other) => other.startsWith(word));
  }

  /**
   * The indexed words that a word of a query matches, with their rows.
   * @param {string} word
   * @param {boolean} open
   * @returns {Promise<WordMatch[]>}
   */
  async #matches(word, open) {
    const file = await this.#wordFile(word);
    const exact = file.words.indexOf(word);
    const places = exact < 0 ? [] : [exact];
    if ((open && [...word].length > 1) || exact < 0) {
      const longer = file.words.flatMap((other, place) => (place !== exact && other.startsWith(word) ? [place] : []));
      longer.sort((a, b) => file.counts[b] - file.counts[a]);
      const shards = new Set(places.map((place) => file.shards[place]));
      const most = shards.size + MAX_EXTRA_SHARDS;
      for (const place of longer.slice(0, MAX_EXPANSIONS)) {
        if (!shards.has(file.shards[place]) && shards.size >= most) continue;
        shards.add(file.shards[place]);
        places.push(place);
      }
    }
    return Promise.all(places.map(async (place) => ({
      lists: await this.#rowLists(file, place), count: file.counts[place], weight: place === exact ? 1 : PREFIX_WEIGHT,
    })));
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
      const { counts, shards, starts, lengths } = file;
      if (![counts, shards, starts, lengths].every((numbers) => numbersOf(numbers, known.length))) throw damaged(path);
      let shard = 0;
      const summed = shards.map((/** @type {number} */ step) => (shard += step));
      if (shard > MAX_SHARDS) throw damaged(path);
      return { words: known, counts, shards: summed, starts, lengths };
    });
  }

  /**
   * @param {WordFile} file
   * @param {number} place
   * @returns {Promise<Uint32Array[]>}
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
 * The rows that have a word in their name, in tags, schema, fields or publisher, and in the description. Each list is
 * stored as steps from row to row (LEB128), or as one bit for each row.
 * @param {Uint8Array} bytes
 * @param {number} total the number of rows
 * @returns {Uint32Array[]}
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
  return Array.from({ length: LEVELS }, () => {
    const head = number();
    const length = Math.floor(head / 2);
    if (length > total) throw damaged("rows");
    const list = new Uint32Array(length);
    if (head % 2) {
      const end = at + Math.ceil(total / 8);
      if (end > bytes.length) throw damaged("rows");
      let place = 0;
      for (let row = 0; row < total; row++) if (bytes[at + (row >> 3)] >> (row & 7) & 1) list[place++] = row;
      at = end;
    } else {
      let row = 0;
      for (let i = 0; i < length; i++) list[i] = row += number();
      if (row >= total && length) throw damaged("rows");
    }
    return list;
  });
}
