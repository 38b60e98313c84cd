// The languages of a schema's code: the page holds Python, the others lie beside it and come when a tab is chosen.

const TOKENS = {
  py: tokens(/#[^\n]*|"""[^]*?"""/, /r?"(?:[^"\\\n]|\\.)*"|r?'(?:[^'\\\n]|\\.)*'/, "from import as class def for in if else elif return yield with not and or is None True False lambda raise try except pass assert"),
  ts: tokens(/\/\/[^\n]*|\/\*[^]*?\*\//, /"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`/, "import from export const let function return if else for of in new throw interface type as switch case default break while null undefined true false readonly extends typeof instanceof"),
  rs: tokens(/\/\/[^\n]*/, /b?"(?:[^"\\]|\\.)*"|b'(?:[^'\\]|\\.)'/, "use pub struct enum impl fn let mut match if else for in return self Self crate mod where trait as const type ref move loop while None Some Ok Err true false"),
  json: tokens(/(?!)/, /"(?:[^"\\\n]|\\.)*"/, "true false null"),
};
const LOOKS = ["c1", "s2", "k", "mi"];
const LONGEST = 60_000; // characters that are worth colours

function tokens(comment, string, words) {
  const parts = [comment, string, new RegExp(`\\b(?:${words.replaceAll(" ", "|")})\\b`), /\b[0-9][0-9_]*(?:\.[0-9]+)?\b/];
  return new RegExp(parts.map((part) => `(${part.source})`).join("|"), "g");
}

export function startCode(startCopying) {
  for (const panel of document.querySelectorAll("[data-code]")) {
    if (panel.dataset.live) continue;
    panel.dataset.live = "yes";
    const shown = () => fill(panel, startCopying);
    if (panel.hidden) panel.addEventListener("catalog:shown", shown, { once: true });
    else shown(); // its tab was remembered, and chosen before this came
  }
}

async function fill(panel, startCopying) {
  const note = panel.querySelector(".cat-install");
  try {
    const answer = await fetch(panel.dataset.code);
    if (!answer.ok) throw new Error(answer.status);
    note.before(block(await answer.text(), panel.dataset.code.split(".").pop()));
    startCopying(panel);
  } catch {
    note.prepend("It could not be loaded. "); // the link to the file stays
    panel.addEventListener("catalog:shown", () => { note.firstChild.remove(); fill(panel, startCopying); }, { once: true });
  }
}

function block(source, kind) {
  const frame = Object.assign(document.createElement("div"), { className: "cat-code" });
  const copy = Object.assign(document.createElement("button"), { type: "button", className: "cat-copy", textContent: "Copy", hidden: true });
  copy.dataset.copy = "";
  const pre = Object.assign(document.createElement("pre"), { tabIndex: 0 });
  const code = document.createElement("code");
  Object.assign(code.dataset, { copySource: "", language: kind });
  code.append(...(source.length > LONGEST ? [source] : coloured(source, TOKENS[kind])));
  pre.append(code);
  const box = Object.assign(document.createElement("div"), { className: "highlight" });
  box.append(pre);
  frame.append(copy, box);
  return frame;
}

function coloured(source, pattern) {
  const pieces = [];
  let end = 0;
  for (const match of source.matchAll(pattern)) {
    const look = LOOKS[match.slice(1).findIndex((group) => group !== undefined)];
    pieces.push(source.slice(end, match.index), Object.assign(document.createElement("span"), { className: look, textContent: match[0] }));
    end = match.index + match[0].length;
  }
  return [...pieces, source.slice(end)];
}
