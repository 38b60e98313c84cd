// Samples in parts of shards: tar files (msgpack or several members a sample) and tables of text.

import { ReadError } from "./rangefile.js";

const BLOCK = 512;
const MAX_FIELDS = 1000;
const ascii = new TextDecoder("latin1");
const utf8 = new TextDecoder("utf-8");

/**
 * A sample as it is stored: the bytes of its fields (one field "" for a whole msgpack map), or the texts of its cells. It lies
 * between the bytes start and end of the shard.
 * @typedef {{ key: string, start: number, end: number, fields: Map<string, Uint8Array | string> }} StoredSample
 */
/**
 * The samples of a part of a shard. The next part begins at next; done says that there is none. need is the number of bytes
 * that the next sample takes, if known.
 * @typedef {{ samples: StoredSample[], next: number, done: boolean, need: number }} Part
 */

/** @param {Uint8Array} bytes */
function word(bytes) {
  const end = bytes.indexOf(0);
  return (end < 0 ? bytes : bytes.subarray(0, end));
}

/** @param {Uint8Array} bytes an octal number, or a binary one of GNU tar */
function number(bytes) {
  if (bytes[0] & 0x80) return bytes.subarray(1).reduce((sum, byte) => sum * 256 + byte, bytes[0] & 0x7f);
  return parseInt(ascii.decode(word(bytes)).trim() || "0", 8);
}

/**
 * Return whether a tar header is at a place: its checksum fits.
 * @param {Uint8Array} bytes
 * @param {number} at
 */
export function isHeader(bytes, at) {
  if (at + BLOCK > bytes.length || bytes[at] === 0) return false;
  let sum = 8 * 32;
  for (let place = 0; place < BLOCK; place += 1) if (place < 148 || place >= 156) sum += bytes[at + place];
  return sum === number(bytes.subarray(at + 148, at + 156));
}

/**
 * The records of a pax header: "length key=value\n" each.
 * @param {Uint8Array} bytes
 */
function paxRecords(bytes) {
  /** @type {Map<string, string>} */
  const found = new Map();
  for (let at = 0; at < bytes.length;) {
    const space = bytes.indexOf(32, at);
    const length = space < 0 ? NaN : Number(ascii.decode(bytes.subarray(at, space)));
    if (!(length > space - at && at + length <= bytes.length)) break;
    const [key, ...rest] = utf8.decode(bytes.subarray(space + 1, at + length - 1)).split("=");
    found.set(key, rest.join("="));
    at += length;
  }
  return found;
}

/**
 * The members of a tar file from a header on. The last one may be incomplete: then it is not given, and `next` is its place.
 * @param {Uint8Array} bytes
 */
function tarMembers(bytes) {
  /** @type {{ name: string, at: number, data: Uint8Array, end: number }[]} */
  const members = [];
  let [at, first, longName, need, done] = [0, 0, "", 0, false];
  let pax = new Map();
  while (at + BLOCK <= bytes.length) {
    if (bytes[at] === 0) {
      done = true;
      break;
    }
    if (!isHeader(bytes, at)) throw new ReadError("The shard isn’t a tar file, or is damaged here.");
    const type = String.fromCharCode(bytes[at + 156] || 48);
    const size = type !== "x" && pax.has("size") ? Number(pax.get("size")) : number(bytes.subarray(at + 124, at + 136));
    if (!(size >= 0 && size <= Number.MAX_SAFE_INTEGER / 2)) throw new ReadError("The shard is damaged here: a member without a valid size.");
    const end = at + BLOCK + Math.ceil(size / BLOCK) * BLOCK;
    if (at + BLOCK + size > bytes.length) {
      need = end - first;
      break;
    }
    const data = bytes.subarray(at + BLOCK, at + BLOCK + size);
    if (type === "x") pax = paxRecords(data);
    else if (type === "L") longName = utf8.decode(word(data));
    else if (type !== "g") {
      const prefix = ascii.decode(bytes.subarray(at + 257, at + 262)) === "ustar" && bytes[at + 263] !== 32 ? utf8.decode(word(bytes.subarray(at + 345, at + 500))) : "";
      const short = utf8.decode(word(bytes.subarray(at, at + 100)));
      const name = pax.get("path") ?? (longName || (prefix ? `${prefix}/${short}` : short));
      if (type === "0" || type === "7") members.push({ name, at: first, data, end });
      [pax, longName] = [new Map(), ""];
    }
    at = end;
    if (type !== "x" && type !== "L") first = end;
  }
  return { members, next: first, done, need };
}

/**
 * Split a member's name as WebDataset does: the key ends at the first dot of the last path component.
 * @param {string} name
 * @returns {[key: string, field: string]}
 */
export function splitName(name) {
  const slash = name.lastIndexOf("/") + 1;
  const dot = name.indexOf(".", slash);
  return dot < 0 ? [name, ""] : [name.slice(0, dot), name.slice(dot + 1).toLowerCase()];
}

/**
 * The samples of a part of a tar file.
 * @param {Uint8Array} bytes from the header of a sample's first member on
 * @param {number} start the place of the bytes in the shard
 * @param {boolean} last whether the shard ends with the bytes
 * @param {"msgpack" | "webdataset"} format
 * @returns {Part}
 */
export function tarSamples(bytes, start, last, format) {
  const { members, next, done, need } = tarMembers(bytes);
  const ended = done || last;
  /** @type {StoredSample[]} */
  const samples = [];
  if (format === "msgpack") {
    for (const { name, at, data, end } of members) {
      if (name.endsWith(".msgpack")) samples.push({ key: name.slice(0, -8), start: start + at, end: start + end, fields: new Map([["", data]]) });
    }
    return { samples, next: start + next, done: ended, need };
  }
  let sample = /** @type {StoredSample | undefined} */ (undefined);
  for (const { name, at, data, end } of members) {
    const [key, field] = splitName(name);
    const base = key.slice(key.lastIndexOf("/") + 1);
    if (!field || !base || base.startsWith("__") || sample?.fields.size === MAX_FIELDS) continue;
    if (sample?.key !== key) {
      sample = { key, start: start + at, end: start + end, fields: new Map() };
      samples.push(sample);
    }
    sample.fields.set(field, data);
    sample.end = start + end;
  }
  // The members of the last sample may go on after the bytes.
  const open = ended ? undefined : samples.pop();
  return { samples, next: open ? open.start : start + next, done: ended, need: open ? Math.max(need, bytes.length - (open.start - start)) + BLOCK : need };
}

/**
 * The place of the first header of a sample after the beginning of the bytes, which lie anywhere in a tar file; null if there is none.
 * @param {Uint8Array} bytes
 * @param {"msgpack" | "webdataset"} format
 * @returns {number | null}
 */
export function firstSample(bytes, format) {
  for (let at = 0; at + BLOCK <= bytes.length; at += BLOCK) {
    if (!isHeader(bytes, at)) continue;
    try {
      // A group of members may have begun before.
      const { samples } = tarSamples(bytes.subarray(at), at, false, format);
      if (format === "msgpack" && samples.length) return samples[0].start;
      if (samples.length > 1) return samples[1].start;
      return null;
    } catch { /* data that looks like a header */ }
  }
  return null;
}

/**
 * The cells of a line of CSV (RFC 4180) at a place, and the place after it; null if the line isn’t complete.
 * @param {string} text
 * @param {number} at
 * @param {string} delimiter
 * @param {boolean} last
 * @returns {{ cells: string[], next: number } | null}
 */
function csvLine(text, at, delimiter, last) {
  const cells = [];
  let [place, cell] = [at, ""];
  for (;;) {
    if (text[place] === '"') {
      const close = text.indexOf('"', place + 1);
      if (close < 0) return null;
      cell += text.slice(place + 1, close);
      place = close + 1;
      if (text[place] === '"') {
        cell += '"';
        continue; // a doubled quote: the text goes on
      }
    }
    const begin = place;
    while (place < text.length && text[place] !== delimiter && text[place] !== "\n" && text[place] !== "\r") place += 1;
    cell += text.slice(begin, place);
    if (place >= text.length && !last) return null;
    cells.push(cell);
    cell = "";
    if (text[place] !== delimiter) break;
    place += 1;
  }
  if (text[place] === "\r") place += 1;
  if (text[place] === "\n") place += 1;
  return place >= text.length && !last && text[text.length - 1] !== "\n" ? null : { cells, next: place };
}

/**
 * The delimiter of a header line.
 * @param {string} line
 */
function delimiterOf(line) {
  return [",", "\t", ";", "|"].map((one) => ({ one, count: line.split(one).length })).sort((a, b) => b.count - a.count)[0].one;
}

/**
 * The names of the columns of a CSV file.
 * @param {Uint8Array} bytes the beginning of the file
 * @returns {{ names: string[], delimiter: string, next: number }}
 */
export function csvHeader(bytes) {
  const text = utf8.decode(bytes).replace(/^\ufeff/, "");
  const delimiter = delimiterOf(text.slice(0, text.search(/[\r\n]|$/)));
  const line = csvLine(text, 0, delimiter, true);
  if (!line) throw new ReadError("The file has no line with the names of its columns.");
  const mark = bytes[0] === 0xef && bytes[1] === 0xbb ? 3 : 0;
  return { names: line.cells.slice(0, MAX_FIELDS), delimiter, next: mark + new TextEncoder().encode(text.slice(0, line.next)).length };
}

/**
 * The rows of a part of a text file.
 * @param {Uint8Array} bytes from the beginning of a line on
 * @param {number} start the place of the bytes in the file
 * @param {boolean} last whether the file ends with the bytes
 * @param {ReturnType<typeof csvHeader> | null} header of CSV; null for lines of JSON
 * @param {number} most the number of rows
 * @returns {Part}
 */
export function textSamples(bytes, start, last, header, most) {
  // Whole lines only, so that no character is cut.
  const cut = last ? bytes.length : bytes.lastIndexOf(10) + 1;
  const text = utf8.decode(bytes.subarray(0, cut));
  const encoder = new TextEncoder();
  /** @type {StoredSample[]} */
  const samples = [];
  let [at, place] = [0, start];
  while (at < text.length && samples.length < most) {
    const end = text.indexOf("\n", at);
    const line = header ? csvLine(text, at, header.delimiter, last) : { cells: [text.slice(at, end < 0 ? undefined : end)], next: end < 0 ? text.length : end + 1 };
    if (!line) break;
    const next = place + encoder.encode(text.slice(at, line.next)).length;
    /** @type {Map<string, string>} */
    const fields = new Map();
    if (header) header.names.forEach((name, column) => fields.set(name, line.cells[column] ?? ""));
    else fields.set("", line.cells[0]);
    if (line.cells.length > 1 || line.cells[0].trim()) samples.push({ key: "", start: place, end: next, fields });
    [at, place] = [line.next, next];
  }
  return { samples, next: place, done: last && at >= text.length, need: samples.length ? 0 : 2 * bytes.length };
}
