// The samples of a dataset, read from its shards. With an index (catalog/site/row_index.py), any sample is one request; without
// one, samples are read from a shard's beginning on, or from near a place.

import { request } from "./files.js";
import { RangeFile, ReadError } from "./rangefile.js";
import { csvHeader, firstSample, tarSamples, textSamples } from "./shardrows.js";

const FIRST_BYTES = 98_304;
const HEADER_BYTES = 16_384; // of a table of text
const MOST_BYTES = 32_000_000; // of a sample
const MERGED_GAP = 65_536;
const CONNECTIONS = 6;
const MAX_ROWS = 5_000_000; // of an index
const MAX_INDEX = 50_000_000; // bytes of a file of the index

/** @typedef {import("./shardrows.js").StoredSample} StoredSample */
/** @typedef {{ number: number | null, about: boolean, shard: number, sample: StoredSample }} Row */
/** A place between samples. number is the number of the next sample, null if it isn’t known. */
/** @typedef {{ shard: number, byte: number, number: number | null, about?: boolean }} Place */
/** @typedef {{ name: string, type: "number" | "text" | "bool", dtype: string, file: string, words?: string[], low?: number, high?: number }} IndexColumn */
/** @typedef {{ format: number, unit: number, shards: number[], positions: string, keys?: string, columns: IndexColumn[] }} IndexHeader */
/** @typedef {{ values: ArrayLike<number>, column: IndexColumn }} ColumnValues */

/** @type {Record<string, { new (buffer: ArrayBuffer): ArrayLike<number>, BYTES_PER_ELEMENT: number }>} */
const ARRAYS = { u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, i1: Int8Array, i2: Int16Array, i4: Int32Array, f8: Float64Array };

/** The index of a dataset’s rows: files of this site. */
export class RowIndex {
  /** @type {Promise<number[][]> | null} */
  #positions = null;
  /** @type {Map<string, Promise<ColumnValues>>} */
  #columns = new Map();

  /**
   * @param {URL} folder
   * @param {IndexHeader} header
   */
  constructor(folder, header) {
    if (header.format !== 1 || header.shards.reduce((sum, count) => sum + count, 0) > MAX_ROWS) throw new ReadError("The index of the samples is of another version.");
    this.folder = folder;
    this.header = header;
    this.starts = [0];
    for (const count of header.shards) this.starts.push(this.starts[this.starts.length - 1] + count);
    this.total = this.starts[this.starts.length - 1];
  }

  /** @param {URL} folder */
  static async open(folder) {
    return new RowIndex(folder, await (await request(new URL("index.json", folder))).json());
  }

  /**
   * The shard of a sample, and the sample's place in it.
   * @param {number} number
   * @returns {[shard: number, place: number]}
   */
  shardOf(number) {
    let shard = this.starts.findIndex((start) => start > number) - 1;
    if (shard < 0) shard = this.header.shards.length - 1;
    return [shard, number - this.starts[shard]];
  }

  /** The positions of each shard's samples in bytes, and the end of the last one. */
  positions() {
    this.#positions ??= this.#file(this.header.positions).then((bytes) => {
      let at = 0;
      const varint = () => {
        let [found, factor] = [0, 1];
        for (; at < bytes.length && bytes[at] > 127; at += 1, factor *= 128) found += (bytes[at] - 128) * factor;
        if (at >= bytes.length) throw new ReadError("The index of the samples is truncated.");
        at += 1;
        return found + bytes[at - 1] * factor;
      };
      return this.header.shards.map((count) => {
        let place = 0;
        return Array.from({ length: count + 1 }, () => {
          place += varint();
          return place * this.header.unit;
        });
      });
    });
    return this.#positions;
  }

  /**
   * The values of a column for all samples.
   * @param {string} name
   * @returns {Promise<ColumnValues>}
   */
  column(name) {
    let found = this.#columns.get(name);
    if (!found) {
      const column = this.header.columns.find((one) => one.name === name);
      const array = ARRAYS[column?.dtype ?? ""];
      if (!column || !array) throw new ReadError("The samples have no such column.");
      found = this.#file(column.file).then((bytes) => {
        if (bytes.length !== this.total * array.BYTES_PER_ELEMENT) throw new ReadError("The index of the samples is truncated.");
        return { column, values: new array(/** @type {ArrayBuffer} */ (bytes.buffer)) };
      });
      this.#columns.set(name, found);
    }
    return found;
  }

  /** The keys of all samples; null if they are not in the index. */
  async keys() {
    if (!this.header.keys) return null;
    return new TextDecoder().decode(await this.#file(this.header.keys)).split("\n");
  }

  /**
   * @param {string} name of a zlib file
   * @returns {Promise<Uint8Array>}
   */
  async #file(name) {
    const response = await request(new URL(name, this.folder));
    const stream = /** @type {ReadableStream<Uint8Array<ArrayBuffer>>} */ (response.body).pipeThrough(new DecompressionStream("deflate"));
    /** @type {Uint8Array[]} */
    const parts = [];
    let length = 0;
    const reader = stream.getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      parts.push(part.value);
      length += part.value.length;
      if (length > MAX_INDEX) {
        await reader.cancel();
        throw new ReadError("The index of the samples is too large.");
      }
    }
    return new Uint8Array(await new Blob(/** @type {BlobPart[]} */ (parts)).arrayBuffer());
  }
}

/** The rows of a dataset. */
export class RowSource {
  /** @type {Map<number, ReturnType<typeof csvHeader>>} */
  #headers = new Map();

  /**
   * @param {{ shards: string[], format: string, total: number | null, index: RowIndex | null }} dataset total: the number of samples
   */
  constructor({ shards, format, total, index }) {
    this.files = shards.map((url) => new RangeFile(url));
    this.format = format;
    this.index = index && index.header.shards.length === shards.length ? index : null;
    this.total = this.index ? this.index.total : total;
  }

  get bytes() { return this.files.reduce((sum, file) => sum + file.bytes, 0); }
  get requests() { return this.files.reduce((sum, file) => sum + file.requests, 0); }

  /**
   * The samples from a place on: count of them, or as many as lie in the bytes that were enough.
   * @param {Place} from
   * @param {number} count
   * @param {number} [enough]
   * @returns {Promise<{ rows: Row[], next: Place | null }>}
   */
  async page(from, count, enough = Infinity) {
    if (this.index && from.number) {
      const end = Math.min(this.index.total, from.number + count);
      const rows = await this.rows(Array.from({ length: end - from.number }, (_, at) => Number(from.number) + at));
      return { rows, next: end < this.index.total ? { ...from, number: end } : null };
    }
    /** @type {Row[]} */
    const rows = [];
    /** @type {Place | null} */
    let place = from;
    const before = this.bytes;
    while (place && rows.length < count && !(rows.length && this.bytes - before >= enough)) {
      /** @type {Place} */
      const here = place;
      const { shard, about } = here;
      let { number } = here;
      const { samples, next, ended } = await this.#read(shard, here.byte, count - rows.length);
      for (const sample of samples) {
        rows.push({ number, about: Boolean(about), shard, sample });
        number = number === null ? null : number + 1;
      }
      if (!ended) place = { ...here, byte: next, number };
      else if (shard + 1 < this.files.length) place = { ...here, shard: shard + 1, byte: 0, number };
      else place = null;
    }
    return { rows, next: place };
  }

  /**
   * The place of a sample by its number; near it if there is no index.
   * @param {number} number
   * @returns {Promise<Place>}
   */
  async find(number) {
    if (number === 0) return { shard: 0, byte: 0, number: 0 };
    if (this.index) return { shard: this.index.shardOf(number)[0], byte: 0, number };
    if (this.total === null) throw new ReadError("The number of samples isn’t known, so that only “Next” leads further.");
    const part = number / this.total * this.files.length;
    const shard = Math.min(this.files.length - 1, Math.floor(part));
    const file = this.files[shard];
    const size = await file.size();
    if (size === null) throw new ReadError(`${file.host} doesn’t say how large its files are, so that only “Next” leads further.`);
    let byte = Math.floor((part - shard) * size / 512) * 512;
    for (let length = FIRST_BYTES; byte > 0; length *= 4) {
      const bytes = await file.read(byte, Math.min(size, byte + length));
      const found = this.#firstIn(bytes);
      if (found !== null) return { shard, byte: byte + found, number, about: true };
      if (length >= MOST_BYTES || byte + length >= size) byte = 0;
    }
    return { shard, byte: 0, number: this.files.length === 1 ? 0 : number, about: this.files.length > 1 };
  }

  /** @param {Uint8Array} bytes */
  #firstIn(bytes) {
    if (this.format === "msgpack" || this.format === "webdataset") return firstSample(bytes, this.format);
    const line = bytes.indexOf(10);
    return line < 0 ? null : line + 1;
  }

  /**
   * Single samples, in the order of their numbers. Neighbours are one request.
   * @param {number[]} numbers
   * @returns {Promise<Row[]>}
   */
  async rows(numbers) {
    const { index } = this;
    if (!index) throw new ReadError("Without an index, samples can’t be chosen.");
    const positions = await index.positions();
    /** @type {{ shard: number, start: number, end: number, wanted: { number: number, start: number, end: number }[] }[]} */
    const ranges = [];
    for (const number of [...numbers].sort((a, b) => a - b)) {
      const [shard, at] = index.shardOf(number);
      const [start, end] = [positions[shard][at], positions[shard][at + 1]];
      const before = ranges[ranges.length - 1];
      if (before?.shard === shard && start - before.end <= MERGED_GAP && end - before.start < MOST_BYTES) {
        before.end = end;
        before.wanted.push({ number, start, end });
      } else ranges.push({ shard, start, end, wanted: [{ number, start, end }] });
    }
    /** @type {Row[][]} */
    const found = ranges.map(() => []);
    let turn = 0;
    const work = async () => {
      for (let own = turn; own < ranges.length; own = turn) {
        turn += 1;
        const { shard, start, end, wanted } = ranges[own];
        const bytes = await this.files[shard].read(start, end);
        for (const one of wanted) {
          const { samples: [sample] } = await this.#parse(shard, bytes.subarray(one.start - start, one.end - start), one.start, true, 1);
          if (sample) found[own].push({ number: one.number, about: false, shard, sample });
        }
      }
    };
    await Promise.all(Array.from({ length: Math.min(CONNECTIONS, ranges.length) }, work));
    return found.flat();
  }

  /**
   * At least one sample from a place of a shard on, if there is one.
   * @param {number} shard
   * @param {number} byte
   * @param {number} count
   */
  async #read(shard, byte, count) {
    const file = this.files[shard];
    let length = FIRST_BYTES;
    let start = byte === 0 && this.format === "csv" ? (await this.#header(shard)).next : byte;
    for (;;) {
      const bytes = await file.read(start, start + length);
      const { samples, next, done, need } = await this.#parse(shard, bytes, start, bytes.length < length, count);
      const ended = done && samples.length <= count;
      if (samples.length || ended) return { samples: samples.slice(0, count), next: samples.length > count ? samples[count - 1].end : next, ended };
      if (length >= MOST_BYTES || need > MOST_BYTES) throw new ReadError(`A sample here has more than ${MOST_BYTES / 1e6} MB.`);
      if (next > start && !need) start = next; // only members that aren't samples
      else length = Math.min(MOST_BYTES, Math.max(4 * length, need));
    }
  }

  /**
   * @param {number} shard
   * @param {Uint8Array} bytes
   * @param {number} start
   * @param {boolean} last
   * @param {number} most
   */
  async #parse(shard, bytes, start, last, most) {
    if (this.format === "msgpack" || this.format === "webdataset") return tarSamples(bytes, start, last, this.format);
    return textSamples(bytes, start, last, this.format === "csv" ? await this.#header(shard) : null, most + 1);
  }

  /** @param {number} shard */
  async #header(shard) {
    let header = this.#headers.get(shard);
    if (!header) {
      header = csvHeader(await this.files[shard].read(0, HEADER_BYTES));
      this.#headers.set(shard, header);
    }
    return header;
  }
}
