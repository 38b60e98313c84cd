// Syntax highlighting in the theme's colours: comments, strings, keywords and numbers.

import { element } from "./dom.js";

/** @type {Record<string, RegExp>} */
const LANGUAGES = {
  python: tokens(/#[^\n]*|"""[^]*?"""/, /r?"(?:[^"\\\n]|\\.)*"|r?'(?:[^'\\\n]|\\.)*'/, "from import as class def for in if elif else return yield with not and or is None True False lambda raise try except pass assert async await while break"),
  typescript: tokens(/\/\/[^\n]*|\/\*[^]*?\*\//, /"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`/, "import from export const let function return if else for of in new throw interface type as switch case default break while null undefined true false readonly extends typeof instanceof async await"),
  rust: tokens(/\/\/[^\n]*/, /b?"(?:[^"\\]|\\.)*"|b'(?:[^'\\]|\\.)'/, "use pub struct enum impl fn let mut match if else for in return self Self crate mod where trait as const type ref move loop while None Some Ok Err true false"),
  json: tokens(/(?!)/, /"(?:[^"\\\n]|\\.)*"/, "true false null"),
};
const CLASSES = ["c1", "s2", "k", "mi"];
const LONGEST = 60_000; // characters; longer code stays plain

/**
 * @param {RegExp} comment
 * @param {RegExp} string
 * @param {string} keywords
 * @returns {RegExp} with a group for each class
 */
function tokens(comment, string, keywords) {
  const parts = [comment, string, new RegExp(`\\b(?:${keywords.replaceAll(" ", "|")})\\b`), /\b[0-9][0-9_]*(?:\.[0-9]+)?\b/];
  return new RegExp(parts.map((part) => `(${part.source})`).join("|"), "g");
}

/**
 * The pieces of a program: those without a class are plain.
 * @param {string} source
 * @param {string} language python, typescript, rust or json
 * @returns {{ text: string, className: string }[]}
 */
export function pieces(source, language) {
  if (source.length > LONGEST) return [{ text: source, className: "" }];
  const found = [];
  let end = 0;
  for (const match of source.matchAll(LANGUAGES[language])) {
    const className = CLASSES[match.slice(1).findIndex((group) => group !== undefined)];
    found.push({ text: source.slice(end, match.index), className: "" }, { text: match[0], className });
    end = match.index + match[0].length;
  }
  found.push({ text: source.slice(end), className: "" });
  return found.filter(({ text }) => text);
}

/**
 * A block of code, whose text can be copied.
 * @param {string} source
 * @param {string} language
 * @returns {HTMLDivElement}
 */
export function codeBlock(source, language) {
  const code = element("code");
  Object.assign(code.dataset, { copySource: "", language });
  code.append(...pieces(source, language).map(({ text, className }) => (className ? element("span", className, text) : text)));
  const pre = element("pre");
  pre.tabIndex = 0;
  pre.append(code);
  const box = element("div", "highlight");
  box.append(pre);
  const frame = element("div", "cat-code");
  frame.append(box);
  return frame;
}
