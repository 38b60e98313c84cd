// The tokenizer of catalog/store/tokenizer.py (cases: tests/data/tokens.json), whose documentation has the terms.

const MAX_TERM_LENGTH = 32;
const MAX_JOINED = 4; // parts of a compound that is a term as a whole
/* eslint-disable no-misleading-character-class -- the classes are of single marks */
const DROP = new RegExp(
  "[\\u0300-\\u036f\\u0483-\\u0489\\u0591-\\u05bd\\u05bf\\u05c1\\u05c2\\u05c4\\u05c5\\u05c7\\u0610-\\u061a\\u064b-\\u065f\\u0670"
  + "\\u06d6-\\u06dc\\u06df-\\u06e4\\u06e7\\u06e8\\u06ea-\\u06ed\\u08d3-\\u08e1\\u08e3-\\u08ff\\u093c\\u09bc\\u0a3c\\u0abc"
  + "\\u1ab0-\\u1aff\\u1dc0-\\u1dff\\u20d0-\\u20ff\\ufe00-\\ufe0f\\ufe20-\\ufe2f\\u00ad\\u0640\\u200c\\u200d]+", "gu",
);
/** @type {Record<string, string>} */
const SPELT = {
  "ß": "ss", "ẞ": "SS", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "ı": "i", "đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "þ": "th",
  "Þ": "Th", "æ": "ae", "Æ": "Ae", "œ": "oe", "Œ": "Oe", "ħ": "h", "Ħ": "H", "ŧ": "t", "Ŧ": "T", "ŋ": "n", "Ŋ": "N", "ς": "σ",
  "\u0671": "\u0627", "\u0649": "\u064a", "\u0629": "\u0647", "\u06a9": "\u0643", "\u06cc": "\u064a", "\u0901": "\u0902",
};
const SPELL = new RegExp(`[${Object.keys(SPELT).join("")}]`, "gu");
const NASAL = /(?:\u0919|\u091e|\u0923|\u0928|\u092e)\u094d(?=[\u0915-\u0939])/gu;
const RUN = "(?:[\\p{L}\\p{N}]|(?=\\p{M})[\\u0900-\\u1cff\\u3099\\u309a\\ua800-\\uabff\\u{11000}-\\u{11fff}])+";
const RUNS = new RegExp(RUN, "gu");
const SIGNS = "[-_./'’:&+@‐‑]";
const COMPOUND = new RegExp(`(?<![\\p{L}\\p{N}])[A-Za-z](?:\\+\\+|#)(?![\\p{L}\\p{N}])|${RUN}(?:${SIGNS}${RUN})*`, "gu");
/* eslint-enable no-misleading-character-class */
const ASCII_PART = /[0-9]+|[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+/g;
const ARTICLE = /^(?:وال|بال|كال|فال|لل|ال)(?=...)/u;
const MARK = -1;
const DIGIT = 0;
const IDEOGRAPHIC = -2;
const HANGUL = -3;
const THAI = -4;
const SCRIPTS = [
  [0x0e00, 0x0eff, THAI], [0x1000, 0x109f, THAI], [0x1100, 0x11ff, HANGUL], [0x1780, 0x17ff, THAI],
  [0x3005, 0x3007, IDEOGRAPHIC], [0x3040, 0x30ff, IDEOGRAPHIC], [0x3130, 0x318f, HANGUL], [0x3400, 0x9fff, IDEOGRAPHIC],
  [0xac00, 0xd7af, HANGUL], [0xf900, 0xfaff, IDEOGRAPHIC], [0x20000, 0x3ffff, IDEOGRAPHIC],
  [0x0370, 0x03ff, 2], [0x1f00, 0x1fff, 2], [0x0400, 0x052f, 3],
  [0x0000, 0x036f, 1], [0x1e00, 0x1eff, 1], [0x2c60, 0x2c7f, 1], [0xa720, 0xa7ff, 1],
];

/** @typedef {string[][]} Compound the parts of each run */

/**
 * The terms by which a text is found, each once.
 * @param {string} text
 * @returns {string[]}
 */
export function tokenize(text) {
  return [...new Set(cut(text).flatMap(termsOf))];
}

/**
 * The compounds of a text, in their order.
 * @param {string} text
 * @returns {Compound[]}
 */
export function cut(text) {
  return [...plain(text).matchAll(COMPOUND)].map(([compound]) => compoundOf(compound));
}

/**
 * The length of a part's grams; 0 in a script with blanks between words.
 * @param {string} part
 * @returns {number}
 */
export function gramSize(part) {
  const script = scriptOf(String.fromCodePoint(Number(part.codePointAt(0))));
  return script === IDEOGRAPHIC || script === HANGUL ? 2 : script === THAI ? 3 : 0;
}

/**
 * The overlapping grams of a part; a part that is shorter is one.
 * @param {string} part
 * @param {number} size
 * @returns {string[]}
 */
export function grams(part, size) {
  const letters = [...part];
  return Array.from({ length: Math.max(1, letters.length - size + 1) }, (_, at) => letters.slice(at, at + size).join(""));
}

/**
 * An Arabic word without its article; null if it has none.
 * @param {string} word
 * @returns {string | null}
 */
export function withoutArticle(word) {
  const match = ARTICLE.exec(word);
  return match && word.slice(match[0].length);
}

/**
 * A word as a term.
 * @param {string} word
 * @returns {string}
 */
export function term(word) {
  return word.length <= MAX_TERM_LENGTH ? word : [...word].slice(0, MAX_TERM_LENGTH).join("");
}

/**
 * @param {string} text
 * @returns {string}
 */
function plain(text) {
  return text.normalize("NFKD").replace(DROP, "").replace(SPELL, (letter) => SPELT[letter]).replace(NASAL, "\u0902").normalize("NFC");
}

/**
 * @param {string} text
 * @returns {string}
 */
function lower(text) {
  return text.toLowerCase().replaceAll("ς", "σ"); // which of the two it becomes depends on the letters around it
}

/**
 * @param {string} text
 * @returns {boolean}
 */
function isNumber(text) {
  return /^\p{Nd}+$/u.test(text);
}

/**
 * @param {Compound} runs
 * @returns {string[]}
 */
function termsOf(runs) {
  const parts = runs.flat();
  const sizes = parts.map(gramSize);
  const found = parts.flatMap((part, place) => {
    if (sizes[place]) return [...grams(part, sizes[place]), ...(sizes[place] === 2 ? part : [])];
    const bare = withoutArticle(part);
    return bare === null ? [term(part)] : [term(part), term(bare)];
  });
  if (parts.length === 1) return found;
  const ends = new Set();
  runs.reduce((count, run) => { ends.add(count + run.length - 1); return count + run.length; }, 0);
  for (const run of runs) if (!run.some(gramSize)) found.push(term(run.join("")));
  for (let place = 0; place + 1 < parts.length; place++) {
    const numbers = ends.has(place) && isNumber(parts[place]) && isNumber(parts[place + 1]);
    if (!sizes[place] && !sizes[place + 1] && !numbers) found.push(term(parts[place] + parts[place + 1]));
  }
  if (parts.length <= MAX_JOINED && !sizes.some(Boolean) && !parts.every(isNumber)) found.push(term(parts.join("")));
  return found;
}

/**
 * @param {string} text
 * @returns {Compound}
 */
function compoundOf(text) {
  if (/[+#]$/.test(text)) return [[lower(text)]];
  return [...text.matchAll(RUNS)].map(([run]) => partsOf(run).map(lower));
}

/**
 * Cut a run where the script changes, at digits, and before capitals within a word.
 * @param {string} run
 * @returns {string[]}
 */
function partsOf(run) {
  // eslint-disable-next-line no-control-regex
  if (/^[\x00-\x7f]*$/.test(run)) return run.match(ASCII_PART) ?? [];
  /** @type {string[]} */
  const found = [];
  /** @type {number | null} */
  let last = null;
  for (const letter of run) {
    const script = scriptOf(letter);
    const capital = script > 0 && hasCases(letter) && letter.toLowerCase() !== letter && found.length > 0 && isLower(found[found.length - 1]);
    if (!found.length || (script !== MARK && (script !== last || capital))) found.push(letter);
    else found[found.length - 1] += letter;
    last = script === MARK && last !== null ? last : script;
  }
  return found;
}

/**
 * Return true for a letter of the alphabets with capitals; what rarer letters have changes with the version of Unicode.
 * @param {string} letter
 * @returns {boolean}
 */
function hasCases(letter) {
  const code = letter.codePointAt(0) ?? 0;
  return code < 0x250 || (code >= 0x370 && code < 0x530);
}

/**
 * Return true if the last letter of a text has a capital.
 * @param {string} text
 * @returns {boolean}
 */
function isLower(text) {
  const letter = [...text].pop() ?? "";
  return hasCases(letter) && letter.toUpperCase() !== letter;
}

/**
 * The script of a letter; the block of 128 characters where a script isn't listed.
 * @param {string} letter
 * @returns {number}
 */
function scriptOf(letter) {
  const code = Number(letter.codePointAt(0));
  const listed = SCRIPTS.find(([first, last]) => first <= code && code <= last)?.[2];
  if (listed === IDEOGRAPHIC || listed === HANGUL) return listed;
  if (/\p{M}/u.test(letter)) return MARK;
  if (/\p{N}/u.test(letter)) return DIGIT;
  return listed ?? (code >> 7) + 4;
}
