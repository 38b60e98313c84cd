// Texts of results, with the words that match a query marked, and the part of a description that matches.

import { element } from "./dom.js";
import { gramSize, grams, tokenize } from "./tokenizer.js";

const EXCERPT = 140; // characters
const BEFORE = 40; // characters before the first match
const MAX_DESCRIPTION = 20_000;

/**
 * The pieces of a text; a `mark` has what matches one of the terms.
 * @param {string} text
 * @param {Set<string>} terms
 * @returns {(string | HTMLElement)[]}
 */
export function marked(text, terms) {
  return pieces(text, terms).map(({ text: piece, match }) => (match ? element("mark", "", piece) : piece));
}

/**
 * A line of text with what matches marked.
 * @param {string} text
 * @param {Set<string>} terms
 * @param {string} className
 * @returns {HTMLDivElement}
 */
export function summaryOf(text, terms, className) {
  const line = element("div", className);
  line.dir = "auto";
  line.append(...marked(text, terms));
  return line;
}

/**
 * The pieces of a text, and which of them match a term: words, or characters in scripts without blanks.
 * @param {string} text
 * @param {Set<string>} terms
 * @returns {{ text: string, match: boolean }[]}
 */
export function pieces(text, terms) {
  return text.split(/([\p{L}\p{N}\p{M}]+)/u).filter(Boolean).flatMap((piece) => {
    const size = /[\p{L}\p{N}]/u.test(piece) ? gramSize(piece) : 0;
    if (size && [...piece].length >= size) return covered(piece, size, terms);
    return [{ text: piece, match: tokenize(piece).some((term) => terms.has(term)) }];
  });
}

/**
 * The part of a description in which most of the terms are, as one line of plain text; "" if none is in it.
 * @param {string} description Markdown
 * @param {Set<string>} terms
 * @returns {string}
 */
export function excerpt(description, terms) {
  const text = description.slice(0, MAX_DESCRIPTION).replace(/!?\[([^\]]*)\]\([^)]*\)/g, "$1").replace(/[*`~|]+|^[ ]{0,3}(?:#+|>+|[-+])(?=\s)/gm, "").replace(/\s+/g, " ").trim();
  /** @type {{ start: number, word: string }[]} */
  const matches = [];
  let at = 0;
  for (const { text: piece, match } of pieces(text, terms)) {
    if (match) matches.push({ start: at, word: piece.toLowerCase() });
    at += piece.length;
  }
  if (!matches.length) return "";
  const counts = matches.map(({ start }) => new Set(matches.filter((one) => one.start >= start && one.start < start + EXCERPT - BEFORE).map(({ word }) => word)).size);
  const { start } = matches[counts.indexOf(Math.max(...counts))];
  const first = start <= BEFORE ? 0 : Math.max(text.lastIndexOf(" ", start - BEFORE) + 1, start - 2 * BEFORE);
  const rest = text.slice(first);
  const end = rest.length > EXCERPT ? rest.slice(0, EXCERPT).replace(/[\ud800-\udbff]$|[ ,.;:]*\s\S*$/, "") : rest;
  return `${first ? "…" : ""}${end}${end.length < rest.length ? "…" : ""}`;
}

/**
 * @param {string} piece
 * @param {number} size
 * @param {Set<string>} terms
 * @returns {{ text: string, match: boolean }[]}
 */
function covered(piece, size, terms) {
  const letters = [...piece];
  const has = letters.map((letter) => terms.has(letter));
  grams(piece, size).forEach((gram, place) => {
    if (tokenize(gram).some((term) => terms.has(term))) for (let at = place; at < place + size; at++) has[at] = true;
  });
  /** @type {{ text: string, match: boolean }[]} */
  const found = [];
  letters.forEach((letter, place) => {
    const last = found[found.length - 1];
    if (last?.match === has[place]) last.text += letter;
    else found.push({ text: letter, match: has[place] });
  });
  return found;
}
