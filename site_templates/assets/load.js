// The programs that load a dataset. The page holds the first; the others lie beside the schema's page, about a dataset
// that doesn't exist. Its name, address and shard are replaced by this dataset's when somebody chooses a tab.

const NAME = "The dataset";
const URI = "at://did:plc:exampleexampleexample234/science.alt.dataset.entry/3exampleexamp";
const SHARD = "https://shards.example/dataset-000000.tar";
const MOST = 20;

const texts = new Map();

export function startPrograms(box, startCopying) {
  if (box.classList.contains("is-live")) return;
  const link = box.parentElement.querySelector(".cat-still a");
  for (const label of box.dataset.ways.split(",").filter(Boolean)) {
    const panel = element("section", "cat-tab");
    panel.dataset.tab = label;
    panel.append(element("h3", "", label), element("p", "cat-install", "…"));
    panel.addEventListener("catalog:shown", () => fill(panel, label), { once: true });
    box.append(panel);
  }
  link.parentElement.hidden = true;

  async function fill(panel, label) {
    try {
      const [text, own] = await Promise.all([fetched(link.href), link.dataset.own === undefined ? fetched("index.json") : null]);
      const [, language, install, code] = programs(text).find(([name]) => name === label);
      show(panel, language, install, own ? filled(code, JSON.parse(own)) : code);
    } catch {
      panel.querySelector("p").replaceChildren("It could not be loaded. ", Object.assign(element("a", "", "As text"), { href: link.href }));
    }
    startCopying(panel);
  }
}

/** Label, language, install command and code of each. */
function programs(text) {
  return text.split(/^=== /m).slice(1).map((part) => {
    const [head, code] = [part.slice(0, part.indexOf("\n")), part.slice(part.indexOf("\n") + 2)];
    const [label, install] = [head.slice(0, head.indexOf(":")), head.slice(head.indexOf(":") + 2)];
    return [label, label === "TypeScript" ? "typescript" : "python", install, `${code.trimEnd()}\n`];
  });
}

/** A program with a dataset's own words: data, never code, put where such data stood. */
function filled(code, { uri, record }) {
  const shards = record.storage.shards.map((shard) => shard.url).filter((url) => /^https?:\/\//.test(url));
  const name = document.querySelector("h1").textContent;
  const more = shards.length > MOST && code.includes(SHARD) ? [`the first ${MOST} of ${shards.length} shards`] : [];
  return code.split("\n").flatMap((line) => {
    const mark = line.match(/^( *(?:#|\/\/) )The dataset$/);
    if (mark && line.endsWith(NAME)) return [name, ...more].map((words) => mark[1] + words);
    if (line.trim() === `"${SHARD}",`) return shards.slice(0, MOST).map((url) => line.replace(SHARD, () => plain(url)));
    return [line.replaceAll(URI, () => uri)];
  }).join("\n");
}

/** A URL with everything escaped that isn't plain, so that it can stand between quotes in any language. */
function plain(url) {
  return url.replace(/[^A-Za-z0-9~:/?#@&()*+,;=%._-]/gu, (sign) =>
    sign === "!" ? "%21" : sign === "'" ? "%27" : encodeURIComponent(sign.toWellFormed ? sign.toWellFormed() : sign));
}

function show(panel, language, install, source) {
  const code = element("code");
  Object.assign(code.dataset, { copySource: "", language });
  code.append(...coloured(source));
  const copy = Object.assign(element("button", "cat-copy", "Copy"), { type: "button", hidden: true });
  copy.dataset.copy = "";
  const pre = element("pre");
  pre.tabIndex = 0;
  pre.append(code);
  const shown = element("div", "highlight");
  shown.append(pre);
  const frame = element("div", "cat-code");
  frame.append(copy, shown);
  const line = element("p", "cat-install");
  line.append(element("code", "", install));
  panel.replaceChildren(panel.firstElementChild, line, frame);
}

const TOKENS = new RegExp([
  /((?:#|\/\/) [^\n]*|"""[^]*?"""|\/\*[^]*?\*\/)/, // comments
  /("(?:[^"\\\n]|\\.)*"|`[^`]*`)/, // strings
  /\b(from|import|as|class|def|for|in|if|else|elif|return|yield|with|not|and|or|is|None|True|False|lambda|async|await|const|let|function|of|new|throw|while|export|interface|type|undefined|null|true|false|break)\b/,
  /\b([0-9]+(?:\.[0-9]+)?)\b/,
].map((pattern) => pattern.source).join("|"), "g");
const LOOKS = ["c1", "s2", "k", "mi"];

/** Comments, strings, keywords and numbers in the colours that the theme has for them. */
function coloured(source) {
  const pieces = [];
  let end = 0;
  for (const match of source.matchAll(TOKENS)) {
    pieces.push(source.slice(end, match.index), element("span", LOOKS[match.slice(1).findIndex((group) => group !== undefined)], match[0]));
    end = match.index + match[0].length;
  }
  return [...pieces, source.slice(end)];
}

/** One request for all tabs; a failed one may be tried again. */
function fetched(address) {
  if (!texts.has(address)) {
    texts.set(address, fetch(address).then((answer) => answer.ok ? answer.text() : Promise.reject(answer)));
    texts.get(address).catch(() => texts.delete(address));
  }
  return texts.get(address);
}

function element(tag, name = "", text = "") {
  const made = document.createElement(tag);
  if (name) made.className = name;
  if (text) made.textContent = text;
  return made;
}
