// The meaning of a query and the order of its results, as in catalog/store/matching.py, which documents both.

import { cut, gramSize, grams, term as termOf, withoutArticle } from "./tokenizer.js";
import { formStarts, isForm, spellings, synonyms } from "./wordforms.js";

const MAX_QUERY_WORDS = 8;
const FEW = 5; // rows with every word below which rows with most of the words are added
const BASE_COSTS = [0, 1, 2, 3, 5, 8, 9, 12, 15, 18, 21, 24]; // of each level
const [EXACT, FORM, LOOSE, SYNONYM, SLIP, CUT, TWO_SLIPS] = [0, 1, 2, 3, 4, 5, 10];
const PARTIAL_COST = BASE_COSTS[6] + FORM;
const LAST_RESORT_COST = BASE_COSTS[7] + FORM;
const LEAST_SHARE = 0.4;
const MAX_PARTIAL = 12;
const MAX_FORMS = 12;
const MAX_BEGINNINGS = 24;
const MAX_SIMILAR = 8;
const MAX_SYNONYM_WORDS = 4;
const EDGES = /^[^\p{L}\p{N}\p{M}_]+|[^\p{L}\p{N}\p{M}_+#]+$/gu;
const NONE = 255; // the cost of a word in a row that doesn't have it
const IGNORED = new Set(
  "a an and are as at by for from in is it of on or that the this to was were with dataset datasets data".split(" "),
);

/** @typedef {{ parts: string[], grams: string[], open: boolean, text: string, typed: string }} Word typed: as messages show it */
/** @typedef {Map<string, number>} Group terms that stand for each other, with what they add to the cost */
/** @typedef {{ text: string, ways: Group[][], corrected: string | null }} Wanted each way has groups that must all match */
/** @typedef {{ words: Wanted[], total: number, corrected: string | null }} Plan */
/** @typedef {{ rows: Uint32Array, level: number }} RowList */
/** @typedef {{ total: number, count: (term: string) => Promise<number>, beginning: (start: string) => Promise<[string, number][]>, similar: (word: string, slips: number) => Promise<{ word: string, edits: number }[]> }} Vocabulary */
/** @typedef {{ full: number, order: number[], rows: Uint32Array, dropped: string[] }} Ranking */

/**
 * The words of a query, each once. With `open` the last one also matches all terms that begin so, if no blank follows it.
 * @param {string} text
 * @param {boolean} [open]
 * @returns {Word[]}
 */
export function question(text, open = false) {
  /** @type {Map<string, Word>} */
  const found = new Map();
  const chunks = text.split(/\s+/).filter(Boolean);
  const last = open && !/\s$/.test(text) ? chunks.length - 1 : -1;
  chunks.forEach((chunk, number) => {
    const words = cut(chunk).flatMap((compound) => wordsOf(compound.flat()));
    words.forEach((word, place) => {
      const isOpen = (chunk.endsWith("*") || number === last) && place === words.length - 1;
      const key = `${word.parts.join(" ")}|${word.grams.join(" ")}`;
      const typed = words.length === 1 ? chunk.replace(EDGES, "").toLowerCase() : word.text;
      if (!found.has(key)) found.set(key, { ...word, open: isOpen, typed });
    });
  });
  return [...found.values()].slice(0, MAX_QUERY_WORDS);
}

/**
 * The words of a compound: parts in scripts with blanks together, each other part by its grams.
 * @param {string[]} parts
 * @returns {Word[]}
 */
function wordsOf(parts) {
  /** @type {Word[]} */
  const found = [];
  /** @type {string[]} */
  let together = [];
  const flush = () => {
    if (together.length) found.push(wordOf(together));
    together = [];
  };
  for (const part of parts) {
    const size = gramSize(part);
    if (!size) {
      together.push(part);
      continue;
    }
    flush();
    for (const wanted of cover(part, size)) found.push(wordOf([wanted[0]], wanted));
  }
  flush();
  return found;
}

/**
 * @param {string[]} parts
 * @param {string[]} [ownGrams]
 * @returns {Word}
 */
function wordOf(parts, ownGrams = []) {
  const text = termOf(parts.join(""));
  return { parts, grams: ownGrams, open: false, text, typed: text };
}

/**
 * Sets of grams; if one of each is found, every character of the part is.
 * @param {string} part
 * @param {number} size
 * @returns {string[][]}
 */
function cover(part, size) {
  const every = grams(part, size);
  /** @type {Map<string, string[]>} */
  const sets = new Map();
  for (let at = 0; at < [...part].length; at++) {
    const set = every.slice(Math.max(0, at - size + 1), at + 1);
    if (set.length) sets.set(set.join(" "), set);
  }
  const all = [...sets.values()];
  return all.filter((set) => {
    const own = new Set(set);
    return !all.some((other) => new Set(other).size < own.size && other.every((gram) => own.has(gram)));
  });
}

/**
 * The terms for each word of a query; with `exactly` no misspelling is corrected.
 * @param {Word[]} asked
 * @param {Vocabulary} vocabulary
 * @param {boolean} [exactly]
 * @returns {Promise<Plan>}
 */
export async function plan(asked, vocabulary, exactly = false) {
  const words = (await Promise.all(asked.map((word) => splitWord(word, vocabulary)))).flat().slice(0, MAX_QUERY_WORDS);
  const ways = await Promise.all(words.map((word) => waysOf(word, vocabulary)));
  for (let first = 0; first < words.length; first++) {
    for (let last = first + 1; last < Math.min(first + 3, words.length); last++) {
      const joined = await joinedTerms(words.slice(first, last + 1), vocabulary);
      if (joined.size) for (let place = first; place <= last; place++) ways[place].push([joined]);
    }
  }
  for (let first = 0; first < words.length; first++) {
    for (let end = first + 1; end <= words.length; end++) {
      for (const way of await synonymWays(words.slice(first, end), vocabulary)) {
        for (let place = first; place < end; place++) ways[place].push(way);
      }
    }
  }
  const places = words.map((_, place) => place);
  const wanted = places.filter((place) => !IGNORED.has(words[place].text));
  const kept = await Promise.all((wanted.length ? wanted : places).map(async (place) => {
    const word = words[place];
    if (ways[place].length || word.grams.length) return { text: word.typed, ways: ways[place], corrected: null };
    return looseWord(word, vocabulary, exactly);
  }));
  const corrected = kept.some((word) => word.corrected) ? kept.map((word) => word.corrected ?? word.text).join(" ") : null;
  return { words: kept, total: vocabulary.total, corrected };
}

/**
 * The parts of a compound as words of their own, if no record has it and nothing is like it.
 * @param {Word} word
 * @param {Vocabulary} vocabulary
 * @returns {Promise<Word[]>}
 */
async function splitWord(word, vocabulary) {
  if (word.parts.length === 1 || !word.parts.every((part) => /^[\p{L}\p{M}]{3,}$/u.test(part))) return [word];
  if ((await waysOf(word, vocabulary)).length || (await vocabulary.beginning(word.text)).length) return [word];
  const slips = slipsAllowed(word.text);
  if (slips && (await vocabulary.similar(word.text, slips).catch(() => [])).length) return [word];
  return word.parts.map((part, place) => ({ ...wordOf([part]), open: word.open && place === word.parts.length - 1 }));
}

/**
 * @param {Word} word
 * @param {Vocabulary} vocabulary
 * @returns {Promise<Group[][]>}
 */
async function waysOf(word, vocabulary) {
  if (word.grams.length) {
    /** @type {Group} */
    const found = new Map();
    for (const gram of word.grams) if (await vocabulary.count(gram)) found.set(gram, EXACT);
    if ((word.open || !found.size) && [...word.text].length > 1) addAll(found, await beginnings(word.text, vocabulary), LOOSE);
    return found.size ? [[found]] : [];
  }
  const whole = await expanded(word.text, vocabulary, word.open);
  const ways = whole.size ? [[whole]] : [];
  if (word.parts.length > 1) {
    const each = await Promise.all(word.parts.map((part, place) => expanded(part, vocabulary, word.open && place === word.parts.length - 1)));
    if (each.every((group) => group.size)) ways.push(each);
  }
  return ways;
}

/**
 * The terms for neighbouring words written as one.
 * @param {Word[]} words
 * @param {Vocabulary} vocabulary
 * @returns {Promise<Group>}
 */
async function joinedTerms(words, vocabulary) {
  const text = termOf(words.map((word) => word.text).join(""));
  if (words.some((word) => word.grams.length) || /^\p{Nd}+$/u.test(text)) return new Map();
  // eslint-disable-next-line no-control-regex -- in other scripts a long word is a form of itself with a short one behind
  if (!/^[\x00-\x7f]*$/.test(text)) return (await vocabulary.count(text)) ? new Map([[text, EXACT]]) : new Map();
  return expanded(text, vocabulary, false);
}

/**
 * The ways to match synonyms of neighbouring words, or of one word.
 * @param {Word[]} words
 * @param {Vocabulary} vocabulary
 * @returns {Promise<Group[][]>}
 */
async function synonymWays(words, vocabulary) {
  const parts = words.flatMap((word) => word.parts);
  if (parts.length > MAX_SYNONYM_WORDS || words.some((word) => word.grams.length)) return [];
  const phrases = synonyms(parts).map((phrase) => phrase.filter((word) => !IGNORED.has(word)));
  const ways = await Promise.all(phrases.map((phrase) => Promise.all(phrase.map((word) => expanded(word, vocabulary, false)))));
  return ways.filter((way) => way.every((group) => group.size))
    .map((way) => way.map((group) => new Map([...group].map(([term, step]) => [term, step + SYNONYM]))));
}

/**
 * A term that the index has, its forms, and for an open one those that begin so.
 * @param {string} term
 * @param {Vocabulary} vocabulary
 * @param {boolean} open
 * @returns {Promise<Group>}
 */
async function expanded(term, vocabulary, open) {
  /** @type {Group} */
  const found = new Map();
  if (await vocabulary.count(term)) found.set(term, EXACT);
  for (const other of [term, ...(found.size ? [] : spellings(term))]) {
    const known = (await Promise.all(formStarts(other).map((start) => vocabulary.beginning(start)))).flat();
    const forms = new Map(known.filter(([each]) => each !== term && (each === other || isForm(other, each))));
    addAll(found, frequent([...forms]).slice(0, MAX_FORMS), FORM);
  }
  const bare = withoutArticle(term);
  if (bare !== null && (await vocabulary.count(bare))) addAll(found, [bare], FORM);
  if (open && [...term].length > 1) addAll(found, await beginnings(term, vocabulary), LOOSE);
  return found;
}

/**
 * The most frequent terms that begin so.
 * @param {string} term
 * @param {Vocabulary} vocabulary
 * @returns {Promise<string[]>}
 */
async function beginnings(term, vocabulary) {
  const known = await vocabulary.beginning(term);
  return frequent(known.filter(([other]) => other !== term)).slice(0, MAX_BEGINNINGS);
}

/**
 * @param {[string, number][]} terms
 * @returns {string[]}
 */
function frequent(terms) {
  return terms.sort(([a, few], [b, many]) => many - few || (a < b ? -1 : 1)).map(([term]) => term);
}

/**
 * @param {Group} group
 * @param {string[]} terms
 * @param {number} step
 */
function addAll(group, terms, step) {
  for (const term of terms) if (!group.has(term)) group.set(term, step);
}

/**
 * The terms that may stand for a word which no record has.
 * @param {Word} word
 * @param {Vocabulary} vocabulary
 * @param {boolean} exactly
 * @returns {Promise<Wanted>}
 */
async function looseWord(word, vocabulary, exactly) {
  const { text } = word;
  /** @type {Group} */
  const group = new Map();
  if ([...text].length > 1) addAll(group, await beginnings(text, vocabulary), LOOSE);
  const halfTyped = word.open && group.size > 0;
  if (/^[a-z]{7,}$/.test(text)) {
    for (let length = text.length - 3; length < text.length; length++) {
      if (await vocabulary.count(text.slice(0, length))) group.set(text.slice(0, length), CUT);
    }
  }
  const ways = group.size ? [[group]] : await halves(text, vocabulary);
  let corrected = null;
  const slips = exactly ? 0 : slipsAllowed(text);
  if (slips && !halfTyped) {
    const nearest = (await vocabulary.similar(text, slips).catch(() => [])).slice(0, MAX_SIMILAR);
    if (nearest.length && ways.every((way) => [...way[0].values()].every((step) => step === CUT))) corrected = nearest[0].word;
    if (nearest.length) ways.push([new Map(nearest.map((one) => [one.word, one.edits === 1 ? SLIP : TWO_SLIPS]))]);
  }
  if (!ways.length && word.parts.length > 1 && !exactly) {
    const each = await Promise.all(word.parts.map(async (part) => {
      const own = await expanded(part, vocabulary, false);
      return own.size ? own : similarTerms(part, vocabulary);
    }));
    if (each.every((one) => one.size)) ways.push(each);
  }
  return { text: word.typed, ways, corrected };
}

/**
 * @param {string} term
 * @param {Vocabulary} vocabulary
 * @returns {Promise<Group>}
 */
async function similarTerms(term, vocabulary) {
  const slips = slipsAllowed(term);
  const found = slips ? await vocabulary.similar(term, slips).catch(() => []) : [];
  return new Map(found.slice(0, MAX_SIMILAR).map((one) => [one.word, one.edits === 1 ? SLIP : TWO_SLIPS]));
}

/**
 * The most even way to cut a word into two that the index has.
 * @param {string} text
 * @param {Vocabulary} vocabulary
 * @returns {Promise<Group[][]>}
 */
async function halves(text, vocabulary) {
  const letters = [...text];
  const places = letters.map((_, place) => place).filter((place) => place >= 3 && letters.length - place >= 3);
  places.sort((a, b) => Math.abs(2 * a - letters.length) - Math.abs(2 * b - letters.length) || a - b);
  for (const place of places) {
    const [left, right] = [letters.slice(0, place).join(""), letters.slice(place).join("")];
    if ((await vocabulary.count(left)) && (await vocabulary.count(right))) return [[new Map([[left, LOOSE]]), new Map([[right, LOOSE]])]];
  }
  return [];
}

/**
 * The edit distance that is allowed for a word.
 * @param {string} word
 * @returns {number}
 */
export function slipsAllowed(word) {
  const { length } = [...word];
  return length < 4 || length > 40 || /^\p{Nd}+$/u.test(word) ? 0 : length >= 8 ? 2 : 1;
}

/**
 * All terms of a plan: what results are marked by.
 * @param {Plan} planned
 * @returns {Set<string>}
 */
export function termsOf({ words }) {
  return new Set(words.flatMap(({ ways }) => ways.flat()).flatMap((group) => [...group.keys()]));
}

/**
 * The rows of a plan, the first `limit` of them in `order`. `lists` gives the rows of a term by level.
 * @param {Plan} planned
 * @param {(term: string) => RowList[]} lists
 * @param {number} total the number of rows
 * @param {number} limit
 * @returns {Ranking}
 */
export function rank(planned, lists, total, limit) {
  const costs = planned.words.map((word) => costsOf(word, lists, total));
  const grades = new Uint16Array(total); // 0: not found; part, highest and lowest cost in one number
  const parts = new Uint8Array(total);
  let full = 0;
  if (costs.length) full = grade(costs, costs.map((_, place) => place), 0, NONE, grades, parts);
  /** @type {string[]} */
  let dropped = [];
  if (full < FEW && costs.length > 1) {
    const kept = partsKept(costs.map(countOf), planned.total);
    let used = partial(costs, kept, PARTIAL_COST, grades, parts);
    if (!used.length && !full) used = partial(costs, kept, LAST_RESORT_COST, grades, parts);
    dropped = planned.words.filter((_, place) => used.some((part) => !part.includes(place))).map((word) => word.text);
  }
  return { full, dropped, ...sorted(grades, parts, limit) };
}

/**
 * @param {Uint8Array[]} costs
 * @param {number[][]} kept
 * @param {number} limit
 * @param {Uint16Array} grades
 * @param {Uint8Array} parts
 * @returns {number[][]} those that some row has
 */
function partial(costs, kept, limit, grades, parts) {
  return kept.filter((part, number) => {
    const most = 2 * part.length <= costs.length ? limit : NONE - 1;
    return grade(costs, part, number + 1, most, grades, parts) > 0;
  });
}

/**
 * Grade the rows that have some words, unless they are graded; return their number.
 * @param {Uint8Array[]} costs
 * @param {number[]} part
 * @param {number} number
 * @param {number} most the highest cost
 * @param {Uint16Array} grades
 * @param {Uint8Array} parts
 * @returns {number}
 */
function grade(costs, part, number, most, grades, parts) {
  let count = 0;
  for (let row = 0; row < grades.length; row++) {
    if (grades[row]) continue;
    let worst = 0;
    let best = NONE;
    for (const place of part) {
      const cost = costs[place][row];
      if (cost > worst) worst = cost;
      if (cost < best) best = cost;
    }
    if (worst === NONE || worst > most) continue;
    grades[row] = 1 + worst * 256 + best;
    parts[row] = number;
    count++;
  }
  return count;
}

/**
 * The rows found, ascending, and the first `limit` of them in order.
 * @param {Uint16Array} grades
 * @param {Uint8Array} parts
 * @param {number} limit
 * @returns {{ rows: Uint32Array, order: number[] }}
 */
function sorted(grades, parts, limit) {
  let count = 0;
  for (let row = 0; row < grades.length; row++) if (grades[row]) count++;
  const rows = new Uint32Array(count);
  /** @type {Map<number, number[]>} */
  const classes = new Map();
  count = 0;
  for (let row = 0; row < grades.length; row++) {
    if (!grades[row]) continue;
    rows[count++] = row;
    const key = parts[row] * 65536 + grades[row];
    const own = classes.get(key);
    if (!own) classes.set(key, [row]);
    else if (own.length < limit) own.push(row);
  }
  const order = [...classes.keys()].sort((a, b) => a - b).flatMap((key) => classes.get(key) ?? []).slice(0, limit);
  return { rows, order };
}

/**
 * @param {Uint8Array} costs
 * @returns {number}
 */
function countOf(costs) {
  let count = 0;
  for (let row = 0; row < costs.length; row++) if (costs[row] !== NONE) count++;
  return count;
}

/**
 * The cost of a word in each row.
 * @param {Wanted} word
 * @param {(term: string) => RowList[]} lists
 * @param {number} total
 * @returns {Uint8Array}
 */
function costsOf(word, lists, total) {
  const best = new Uint8Array(total).fill(NONE);
  for (const way of word.ways) {
    /** @type {Uint8Array | null} */
    let found = null;
    for (const group of way) {
      const own = new Uint8Array(total).fill(NONE);
      for (const [term, step] of group) {
        for (const { rows, level } of lists(term)) {
          const cost = BASE_COSTS[level] + step;
          for (let at = 0; at < rows.length; at++) if (own[rows[at]] > cost) own[rows[at]] = cost;
        }
      }
      if (found) for (let row = 0; row < total; row++) own[row] = Math.max(own[row], found[row]);
      found = own;
    }
    if (found) for (let row = 0; row < total; row++) if (found[row] < best[row]) best[row] = found[row];
  }
  return best;
}

/**
 * The words that may be found without the others, the weightiest first. A word weighs the more, the fewer rows have it;
 * one that no row has weighs nothing.
 * @param {number[]} counts the number of rows of each word
 * @param {number} total
 * @returns {number[][]}
 */
export function partsKept(counts, total) {
  const weights = counts.map((count) => (count ? Math.log(1 + total / count) : 0));
  const whole = weights.reduce((sum, weight) => sum + weight, 0);
  /** @type {{ share: number, kept: number[] }[]} */
  const found = [];
  for (let mask = 1; mask < 2 ** counts.length - 1; mask++) {
    const kept = counts.flatMap((_, place) => (mask >> place & 1 ? [place] : []));
    if (kept.some((place) => !counts[place])) continue;
    const share = kept.reduce((sum, place) => sum + weights[place], 0) / whole;
    if (share >= LEAST_SHARE) found.push({ share, kept });
  }
  found.sort((a, b) => b.share - a.share || compared(a.kept, b.kept));
  return found.slice(0, MAX_PARTIAL).map(({ kept }) => kept);
}

/**
 * @param {number[]} a
 * @param {number[]} b
 * @returns {number}
 */
function compared(a, b) {
  for (let at = 0; at < Math.min(a.length, b.length); at++) if (a[at] !== b[at]) return a[at] - b[at];
  return a.length - b.length;
}
