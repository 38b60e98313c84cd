// The words of the interface in the language of the page. The key of a text is the English text: see catalog/site/languages.py.

const code = (globalThis.document?.documentElement.lang ?? "en").toLowerCase().split(/[-_]/)[0];
const TRANSLATED = ["ar", "de", "es", "fr", "ja", "zh"];
const known = TRANSLATED.includes(code);
/** The locale of numbers. Arabic pages have the same digits as their tables. */
export const LOCALE = known ? (code === "ar" ? "ar-u-nu-latn" : code) : "en";
/** @type {Record<string, string | Record<string, string>>} */
const words = known ? await import(`./language-${code}.js`).then((module) => module.default, () => ({})) : {};
const rules = new Intl.PluralRules(LOCALE);

/**
 * The translation of an English text, with values in place of {name}.
 * @param {string} key
 * @param {Record<string, string | number>} [values]
 * @returns {string}
 */
export function t(key, values = {}) {
  const found = words[key];
  return (typeof found === "string" ? found : key).replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
}

/**
 * A number with the separators of the language.
 * @param {number} number
 * @returns {string}
 */
export function count(number) {
  return number.toLocaleString(LOCALE);
}

/**
 * A number with its unit, which stays together where the text runs from right to left.
 * @param {string} text
 * @returns {string}
 */
export function isolated(text) {
  return code === "ar" && text ? `\u2066${text}\u2069` : text;
}

/**
 * A count with its noun: "3 records".
 * @param {number} number
 * @param {string} noun
 * @returns {string}
 */
export function counted(number, noun) {
  const forms = words[`#${noun}`];
  if (typeof forms !== "object") return number === 1 ? `1 ${noun}` : `${count(number)} ${noun}s`;
  return (forms[rules.select(number)] ?? forms.other).replace("{n}", count(number));
}
