// The facets of the browse page: groups of words with checkboxes and counts. Long groups are cut, and have a field to find a word.

import { button, element, find } from "./dom.js";
import { count, LOCALE, t } from "./language.js";

const FEW = 8; // words shown at first
const MANY = 12; // words from which a group has a field
const MOST = 100; // words shown at most
const ORDERED = ["size", "state", "updated"]; // facets whose words have an order of their own
const TRANSLATED = ["kind", "state"]; // facets whose words are of the interface, not of records

/** @typedef {{ toggle: (facet: string, word: string) => void, opened: () => void }} Handlers */

/**
 * Put a group for each facet into `box`. `toggle` is called when a checkbox changes, `opened` when a group without counts
 * is opened; `closed` returns true for facets that start closed.
 * @param {HTMLElement} box
 * @param {{ name: string, title: string, words: string[] }[]} facets
 * @param {Handlers & { closed: (facet: string) => boolean }} handlers
 */
export function makeFacets(box, facets, { toggle, opened, closed }) {
  const groups = facets.map(({ name, title, words }) => new Group(name, title, words, { toggle, opened }, !closed(name)));
  box.replaceChildren(...groups.map((group) => group.element));
  return {
    /**
     * Show counts by facet; a facet that is not counted now has none.
     * @param {Record<string, Uint32Array | undefined>} counts
     * @param {Record<string, Set<string>>} chosen
     */
    show(counts, chosen) { for (const group of groups) group.show(counts[group.name], chosen[group.name]); },
    /** @returns {string[]} the names of the open groups */
    open: () => groups.filter((group) => group.element.open).map((group) => group.name),
  };
}

class Group {
  /** @type {Map<string, HTMLLabelElement>} */
  #labels = new Map();
  /** @type {Uint32Array | undefined} */
  #counts;
  /** @type {Set<string> | undefined} */
  #chosen;
  #all = false;
  #filter = "";

  /**
   * @param {string} name
   * @param {string} title
   * @param {string[]} words
   * @param {Handlers} handlers
   * @param {boolean} open
   */
  constructor(name, title, words, { toggle, opened }, open) {
    this.name = name;
    this.words = words;
    this.toggle = toggle;
    this.numbers = new Map(words.map((word, number) => [word, number]));
    this.element = element("details", "cat-facet");
    this.element.open = open;
    const long = words.length > MANY;
    const summary = element("summary");
    summary.append(element("span", "", title));
    if (long) summary.append(element("span", "cat-quiet", count(words.length)));
    const set = element("fieldset");
    set.append(element("legend", "cat-hidden", title));
    if (long) set.append(this.field(title));
    this.list = element("div");
    this.more = button("", "");
    this.more.addEventListener("click", () => {
      const first = this.list.querySelectorAll("input").length;
      this.#all = true;
      this.fill();
      this.list.querySelectorAll("input")[first]?.focus();
    });
    set.append(this.list, this.more);
    this.element.append(summary, set);
    this.element.addEventListener("toggle", () => { if (this.element.open && this.#chosen && !this.#counts) opened(); });
  }

  /**
   * The field that filters the words.
   * @param {string} title
   * @returns {HTMLInputElement}
   */
  field(title) {
    const label = t("Find in {facet}", { facet: title.toLocaleLowerCase(LOCALE) });
    const field = Object.assign(element("input", "cat-field"), { type: "search", placeholder: label, autocomplete: "off", maxLength: 200 });
    field.setAttribute("aria-label", label);
    field.addEventListener("input", (event) => {
      event.stopPropagation();
      this.#filter = field.value.trim().toLowerCase();
      this.fill();
    });
    field.addEventListener("keydown", (event) => { if (event.key === "Enter") event.preventDefault(); });
    return field;
  }

  /**
   * @param {Uint32Array | undefined} counts
   * @param {Set<string>} chosen
   */
  show(counts, chosen) {
    this.#counts = counts;
    this.#chosen = chosen;
    this.fill();
  }

  /** Show the chosen words and the first of the others. */
  fill() {
    const chosen = this.#chosen ?? new Set();
    const numbers = wordsToShow(this.words, this.#counts, this.#filter, ORDERED.includes(this.name));
    const most = this.#all || this.#filter ? MOST : FEW;
    const shown = numbers.slice(0, most).map((number) => this.words[number]);
    const missing = [...chosen].filter((word) => !shown.includes(word));
    const focused = document.activeElement;
    const inside = this.element.contains(focused);
    this.list.replaceChildren(...[...missing, ...shown].map((word) => this.label(word, chosen.has(word))));
    if (!this.list.childElementCount) this.list.append(element("span", "cat-quiet", t("none")));
    const left = numbers.length - shown.length;
    this.more.hidden = left === 0 || most === MOST;
    this.more.textContent = t("{n} more", { n: count(left) });
    // The focused element keeps the focus; if it is gone, its group gets it.
    if (inside && focused instanceof HTMLElement && (focused !== document.activeElement || (focused === this.more && this.more.hidden))) {
      (this.list.contains(focused) ? focused : find(this.element, "summary")).focus();
    }
    this.element.hidden = this.words.length === 0 && chosen.size === 0;
  }

  /**
   * The checkbox of a word, its name and count. The element stays the same, so that it keeps the focus.
   * @param {string} word
   * @param {boolean} chosen
   * @returns {HTMLLabelElement}
   */
  label(word, chosen) {
    let label = this.#labels.get(word);
    if (!label) {
      label = element("label");
      const made = Object.assign(element("input"), { type: "checkbox", autocomplete: "off" });
      made.addEventListener("change", () => this.toggle(this.name, word));
      label.append(made, element("span", "cat-user", TRANSLATED.includes(this.name) ? t(word) : word), element("span"));
      this.#labels.set(word, label);
    }
    const [box, , total] = label.children;
    /** @type {HTMLInputElement} */ (box).checked = chosen;
    const number = this.numbers.get(word);
    total.textContent = this.#counts ? count(number === undefined ? 0 : this.#counts[number]) : "";
    return label;
  }
}

/**
 * The numbers of the words that a group offers: those that have rows and contain the filter, the most frequent first.
 * @param {string[]} words
 * @param {Uint32Array | undefined} counts
 * @param {string} filter
 * @param {boolean} ordered keep the order of the words
 * @returns {number[]}
 */
export function wordsToShow(words, counts, filter, ordered) {
  let numbers = words.map((_, number) => number);
  if (counts) {
    numbers = numbers.filter((number) => counts[number] > 0);
    if (!ordered) numbers.sort((a, b) => counts[b] - counts[a] || a - b);
  }
  return filter ? numbers.filter((number) => words[number].toLowerCase().includes(filter)) : numbers;
}
