// The programs that load a dataset. The page holds the first, and of the others what is about its dataset alone; the rest
// of them is the same for all datasets of a schema, and is fetched when somebody chooses one.

const wanted = new Map();

export function startPrograms(box, startCopying) {
  const held = box.querySelector("script[type='application/json']");
  if (!held || box.classList.contains("is-live")) return;
  const own = JSON.parse(held.textContent);
  const link = box.parentElement.querySelector(".cat-still a");
  for (const label of own.ways) {
    const panel = element("section", "cat-tab");
    panel.dataset.tab = label;
    panel.append(element("h3", "", label), element("p", "cat-install cat-quiet", "…"));
    panel.addEventListener("catalog:shown", () => fill(panel, label), { once: true });
    box.append(panel);
  }
  link.parentElement.hidden = true;

  async function fill(panel, label) {
    try {
      const { parts, programs } = await fetched(box.dataset.programs);
      show(panel, programs.find((program) => program.label === label), parts);
    } catch {
      panel.querySelector("p").replaceChildren("It could not be loaded. ", Object.assign(element("a", "", "As text"), { href: link.href }));
    }
    startCopying(panel);
  }

  function show(panel, program, parts) {
    const code = element("code");
    Object.assign(code.dataset, { copySource: "", language: program.language });
    for (const part of program.parts) {
      if (part === null) code.append(...coloured(ownPart(program)));
      else code.insertAdjacentHTML("beforeend", parts[part]); // our own file: Pygments made it, and escapes
    }
    const copy = Object.assign(element("button", "cat-copy", "Copy"), { type: "button", hidden: true });
    copy.dataset.copy = "";
    const pre = element("pre");
    pre.tabIndex = 0;
    pre.append(code);
    const shown = element("div", "highlight");
    shown.append(pre);
    const frame = element("div", "cat-code");
    frame.append(copy, shown);
    const install = element("p", "cat-install");
    install.append(element("code", "", own.install?.[program.label] ?? program.install));
    panel.replaceChildren(panel.firstElementChild, install, frame);
  }

  function ownPart(program) {
    if (!program.listing) return own.own[program.label];
    const [mark, opening, indent, closing] = program.listing;
    const comments = own.about.map((line) => `${mark} ${line}\n`).join("");
    return comments + opening + own.urls.map((url) => `${indent}"${url}",\n`).join("") + closing;
  }
}

/** One request for all tabs; a failed one may be tried again. */
function fetched(address) {
  if (!wanted.has(address)) {
    wanted.set(address, fetch(address).then((answer) => answer.ok ? answer.json() : Promise.reject(answer)));
    wanted.get(address).catch(() => wanted.delete(address));
  }
  return wanted.get(address);
}

/** Comments and strings in the colours of the rest. */
function coloured(text) {
  return text.split(/(^ *(?:#|\/\/) .*$|"(?:[^"\\\n]|\\.)*")/m).map((piece, number) =>
    number % 2 ? element("span", piece.endsWith("\"") && !/^ *(#|\/\/)/.test(piece) ? "s2" : "c1", piece) : piece);
}

function element(tag, name = "", text = "") {
  const made = document.createElement(tag);
  if (name) made.className = name;
  if (text) made.textContent = text;
  return made;
}
