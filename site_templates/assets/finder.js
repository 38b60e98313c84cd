// The field of the lens network that finds a schema by a part of its name: a combobox with its list.

import { closest, element, withAttributes } from "./dom.js";

const MAX_FOUND = 8;

/** @typedef {import("./network.js").Network} Network */
/** @typedef {import("./network.js").Schema} Schema */

/**
 * @param {Network} net
 * @param {(row: number) => void} choose called with the row of the chosen schema
 * @returns {HTMLDivElement}
 */
export function finder(net, choose) {
  const box = element("div", "cat-network__find");
  const list = withAttributes(element("ul", "cat-network__found"), { id: "network-found", role: "listbox", "aria-label": "Schemas found" });
  list.hidden = true;
  const input = withAttributes(element("input", "cat-field"), {
    type: "search", placeholder: "Find a schema", autocomplete: "off", spellcheck: "false",
    role: "combobox", "aria-label": "Find a schema", "aria-expanded": "false", "aria-controls": list.id, "aria-autocomplete": "list",
  });
  let marked = -1;
  const options = () => /** @type {NodeListOf<HTMLElement>} */ (list.querySelectorAll("[role=option]"));

  /**
   * @param {string} text
   */
  function search(text) {
    const found = matches(net, text).slice(0, MAX_FOUND);
    list.replaceChildren(...found.map((row, index) => optionOf(net.schemas[row], index)));
    list.hidden = !text.trim();
    if (text.trim() && !found.length) list.append(withAttributes(element("li", "cat-quiet", "No schema of that name."), { role: "presentation" }));
    input.setAttribute("aria-expanded", String(found.length > 0));
    mark(found.length ? 0 : -1);
  }

  /**
   * @param {number} index
   */
  function mark(index) {
    const all = options();
    marked = all.length ? (index + all.length) % all.length : -1;
    all.forEach((option, at) => option.setAttribute("aria-selected", String(at === marked)));
    if (marked >= 0) input.setAttribute("aria-activedescendant", all[marked].id);
    else input.removeAttribute("aria-activedescendant");
  }

  /**
   * @param {HTMLElement} option
   */
  function go(option) {
    input.value = "";
    search("");
    choose(Number(option.dataset.row));
  }

  input.addEventListener("input", () => search(input.value));
  input.addEventListener("blur", () => search(""));
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      mark(marked + (event.key === "ArrowDown" ? 1 : -1));
    } else if (event.key === "Escape") {
      search("");
    } else if (event.key === "Enter" && marked >= 0) {
      event.preventDefault();
      go(options()[marked]);
    }
  });
  list.addEventListener("mousedown", (event) => event.preventDefault()); // the field keeps the focus
  list.addEventListener("click", (event) => {
    const option = closest(event, "[role=option]");
    if (option) go(option);
  });
  box.append(input, list);
  return box;
}

/**
 * The schemas whose name contains a text, those that begin with it first.
 * @param {Network} net
 * @param {string} text
 * @returns {number[]}
 */
export function matches(net, text) {
  const wanted = text.trim().toLowerCase();
  const found = wanted ? net.sorted.filter((row) => net.schemas[row].lower.includes(wanted)) : [];
  return found.sort((a, b) => Number(net.schemas[b].lower.startsWith(wanted)) - Number(net.schemas[a].lower.startsWith(wanted)));
}

/**
 * @param {Schema} schema
 * @param {number} index
 * @returns {HTMLLIElement}
 */
function optionOf({ row, name, version, publisher }, index) {
  const option = withAttributes(element("li"), { id: `network-found-${index}`, role: "option", "aria-selected": "false", "data-row": row });
  option.append(element("strong", "", name), " ", element("span", "cat-version", version), " ", element("span", "cat-quiet", publisher));
  return option;
}
