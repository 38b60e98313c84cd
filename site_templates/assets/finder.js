// The box of the lens network in which a schema is found by a part of its name: a combobox with its list.

const MOST = 8;

/** The box, as an element; `choose` gets the row of the schema that was chosen. */
export function finder(net, choose) {
  const box = element("div", "cat-network__find");
  const input = Object.assign(element("input", "cat-field"), { type: "search", placeholder: "Find a schema", autocomplete: "off", spellcheck: false });
  const list = element("ul", "cat-network__found");
  Object.assign(list, { id: "network-found", hidden: true });
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", "Schemas found");
  for (const [name, value] of [["role", "combobox"], ["aria-label", "Find a schema"], ["aria-expanded", "false"], ["aria-controls", list.id], ["aria-autocomplete", "list"]]) input.setAttribute(name, value);
  let marked = -1;

  function find(words) {
    const wanted = words.trim().toLowerCase();
    const hits = wanted ? net.sorted.filter((row) => net.schemas[row].lower.includes(wanted)) : [];
    hits.sort((a, b) => net.schemas[b].lower.startsWith(wanted) - net.schemas[a].lower.startsWith(wanted));
    list.replaceChildren(...hits.slice(0, MOST).map((row, index) => option(net.schemas[row], index)));
    list.hidden = !wanted;
    if (wanted && !hits.length) list.append(Object.assign(element("li", "cat-quiet", "No schema of that name."), { role: "presentation" }));
    input.setAttribute("aria-expanded", String(Boolean(hits.length)));
    mark(hits.length ? 0 : -1);
  }

  function mark(index) {
    const options = list.querySelectorAll("[role=option]");
    marked = options.length ? (index + options.length) % options.length : -1;
    options.forEach((option, at) => option.setAttribute("aria-selected", String(at === marked)));
    if (marked >= 0) input.setAttribute("aria-activedescendant", options[marked].id);
    else input.removeAttribute("aria-activedescendant");
  }

  function jump(option) {
    input.value = "";
    find("");
    choose(Number(option.dataset.row));
  }

  input.addEventListener("input", () => find(input.value));
  input.addEventListener("blur", () => find(""));
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      mark(marked + (event.key === "ArrowDown" ? 1 : -1));
    } else if (event.key === "Escape") {
      find("");
    } else if (event.key === "Enter" && marked >= 0) {
      event.preventDefault();
      jump(list.querySelectorAll("[role=option]")[marked]);
    }
  });
  list.addEventListener("mousedown", (event) => event.preventDefault()); // the field keeps the focus until the click
  list.addEventListener("click", (event) => {
    const chosen = event.target.closest("[role=option]");
    if (chosen) jump(chosen);
  });
  box.append(input, list);
  return box;
}

function option({ row, name, version, publisher }, index) {
  const made = element("li");
  Object.assign(made, { id: `network-found-${index}` }).dataset.row = row;
  made.setAttribute("role", "option");
  made.setAttribute("aria-selected", "false");
  made.append(element("strong", "", name), " ", element("span", "cat-version", version), " ", element("span", "cat-quiet", publisher));
  return made;
}

export function element(tag, name = "", words = "") {
  const made = document.createElement(tag);
  if (name) made.className = name;
  if (words) made.textContent = words;
  return made;
}
