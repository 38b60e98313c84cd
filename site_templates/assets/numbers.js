// Numbers as text in the files of the catalog, encoded by catalog/store/index_format.py.

import { BASE, LAST } from "./limits.js";

const INVALID = 255;
const DIGITS = Uint8Array.from({ length: 128 }, (_, code) => (code < 35 || code === 92 || code === 127 ? INVALID : code > 92 ? code - 36 : code - 35));
const MAX_WEIGHT = (BASE - LAST) ** 8; // nine digits
const MAX_NUMBER = 2 ** 32 - 1;

/**
 * The error for numbers that break the format.
 * @returns {Error}
 */
function damaged() {
  return new Error("a file of the catalog is damaged");
}

/**
 * Numbers of variable length, the lowest digit first; the last digit of each is below 60.
 * @param {string} text
 * @returns {Uint32Array}
 */
export function decodeShort(text) {
  const found = new Uint32Array(text.length);
  let end = 0;
  let value = 0;
  let weight = 1;
  for (let i = 0; i < text.length; i++) {
    const digit = DIGITS[text.charCodeAt(i)];
    if (!(digit < BASE) || weight > MAX_WEIGHT) throw damaged();
    value += digit * weight;
    if (digit < LAST) {
      if (value > MAX_NUMBER) throw damaged();
      found[end++] = value;
      value = 0;
      weight = 1;
    } else weight *= BASE - LAST;
  }
  if (weight > 1) throw damaged();
  return found.subarray(0, end);
}

/**
 * Numbers of fixed length: one text for each digit, the lowest first.
 * @param {string[]} texts
 * @returns {Uint32Array}
 */
export function decodeDigits(texts) {
  const found = new Uint32Array(texts[0].length);
  for (const text of [...texts].reverse()) {
    if (text.length !== found.length) throw damaged();
    for (let i = 0; i < found.length; i++) found[i] = found[i] * BASE + DIGITS[text.charCodeAt(i)];
  }
  return found;
}
