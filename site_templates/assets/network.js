// The lens network as an interactive picture: a schema in the middle, around it the schemas that lenses connect it with.

import { button, claim, closest, element, find, withAttributes } from "./dom.js";
import { request } from "./files.js";
import { finder } from "./finder.js";
import { neighbourhood, overview, placed, step } from "./layout.js";

const SVG = "http://www.w3.org/2000/svg";
const NARROW = 620; // pixels
const MAX_WHOLE = { narrow: 20, wide: 60 }; // schemas up to which the whole network can be shown
const ROWS = 25; // rows of the table, and those added by each "Show more"

/** @typedef {{ row: number, name: string, version: string, publisher: string, datasets: number, key: string, page: string, lower: string }} Schema */
/** @typedef {{ name: string, source: number, target: number, verified: boolean, key: string, page: string }} Lens */
/** @typedef {{ source: number, target: number, lenses: Lens[] }} Edge all lenses from one schema to another */
/**
 * @typedef {object} Network
 * @property {Schema[]} schemas
 * @property {Lens[]} lenses
 * @property {Edge[][]} out by source
 * @property {Edge[][]} into by target
 * @property {number[]} sorted the rows of the schemas by name and version
 * @property {(a: number, b: number) => number} order
 */
/**
 * @typedef {object} NetworkFile columns of schemas and lenses (catalog/site/lens_network.py)
 * @property {[string, string][]} publishers folder and name
 * @property {{ name: string[], version: string[], publisher: number[], page: string[], datasets: number[] }} schemas
 * @property {{ name: string[], publisher: number[], page: string[], source: number[], target: number[], verified: (boolean | number)[] }} lenses
 */

/**
 * @param {HTMLElement} root
 */
export async function startNetwork(root) {
  if (!claim(root)) return;
  let net;
  try {
    net = network(await (await request(String(root.dataset.network))).json(), String(root.dataset.root));
  } catch {
    return; // the page keeps its list
  }
  if (net.lenses.length) new View(root, net).start();
}

/**
 * The network of a file. Lenses with the same ends are one edge.
 * @param {NetworkFile} file
 * @param {string} base the address of the site's root
 * @returns {Network}
 */
export function network({ schemas: s, lenses: l, publishers }, base) {
  const schemas = s.name.map((name, row) => {
    const key = `${publishers[s.publisher[row]][0]}/${s.page[row]}`;
    return {
      row, key, name, version: s.version[row], publisher: publishers[s.publisher[row]][1], datasets: s.datasets[row],
      page: `${base}schemas/${key}/`, lower: name.toLowerCase(),
    };
  });
  const lenses = l.name.map((name, row) => {
    const key = `${publishers[l.publisher[row]][0]}/${l.page[row]}`;
    return { key, name, source: l.source[row], target: l.target[row], verified: Boolean(l.verified[row]), page: `${base}lenses/${key}/` };
  });
  /** @type {Edge[][]} */
  const out = schemas.map(() => []);
  /** @type {Edge[][]} */
  const into = schemas.map(() => []);
  /** @type {Map<string, Edge>} */
  const edges = new Map();
  for (const lens of lenses) {
    const ends = `${lens.source} ${lens.target}`;
    let edge = edges.get(ends);
    if (!edge) {
      edge = { source: lens.source, target: lens.target, lenses: [] };
      edges.set(ends, edge);
      out[lens.source].push(edge);
      into[lens.target].push(edge);
    }
    edge.lenses.push(lens);
  }
  const { compare } = new Intl.Collator("en", { numeric: true });
  const sorted = schemas.map((schema) => schema.row).sort((a, b) =>
    compare(schemas[a].name, schemas[b].name) || compare(schemas[a].version, schemas[b].version) || (schemas[a].key < schemas[b].key ? -1 : 1));
  const place = new Map(sorted.map((row, index) => [row, index]));
  return { schemas, lenses, out, into, sorted, order: (a, b) => Number(place.get(a)) - Number(place.get(b)) };
}

class View {
  /** @type {Map<number, number>} */
  #turns = new Map();
  /** @type {number | null} */
  #chosen = null;
  /** @type {Lens | null} */
  #lens = null;
  /** @type {(import("./layout.js").Shape & { node: HTMLElement | SVGElement })[]} */
  #shapes = [];
  /** @type {HTMLButtonElement | null} */
  #wholeButton = null;

  /**
   * @param {HTMLElement} root
   * @param {Network} net
   */
  constructor(root, net) {
    this.root = root;
    this.net = net;
    this.connected = net.sorted.filter((row) => net.out[row].length || net.into[row].length);
    this.whole = this.connected.length <= (innerWidth < NARROW ? MAX_WHOLE.narrow : MAX_WHOLE.wide);
    this.box = element("div", "cat-network__picture");
    this.about = element("div", "cat-network__about");
    this.table = withAttributes(element("section", "cat-part"), { "aria-labelledby": "network-lenses" });
    this.live = withAttributes(element("p", "cat-hidden"), { "aria-live": "polite" });
  }

  start() {
    const { root } = this;
    const hint = element("p", "cat-quiet cat-network__hint", "Click a schema to put it in the middle, and again to open its page. Keyboard: arrow keys move, Space puts a schema in the middle, Enter opens its page.");
    hint.id = "network-hint";
    root.prepend(this.bar(), this.box, hint, this.about, this.live, this.table);
    find(root, "[data-static]").hidden = true;
    this.box.addEventListener("keydown", (event) => this.walk(event));
    root.addEventListener("click", (event) => this.click(event));
    this.box.addEventListener("focusin", (event) => this.emphasize(closest(event, "[data-item]")));
    this.box.addEventListener("mouseover", (event) => this.emphasize(closest(event, "[data-item]")));
    let width = this.box.clientWidth;
    new ResizeObserver(() => {
      if (Math.abs(this.box.clientWidth - width) < 8) return;
      width = this.box.clientWidth;
      this.draw();
    }).observe(this.box);
    addEventListener("popstate", () => { if (this.root.isConnected) this.read(); });
    this.read();
  }

  /** @returns {HTMLDivElement} */
  bar() {
    const bar = element("div", "cat-network__bar");
    bar.append(finder(this.net, (row) => this.choose(row, { focus: true })));
    if (this.whole) {
      this.#wholeButton = button("cat-button", "The whole network");
      this.#wholeButton.addEventListener("click", () => this.choose(null));
      bar.append(this.#wholeButton);
    }
    return bar;
  }

  // --- the chosen schema ---------------------------------------------------------------------------------------

  /** Take the chosen schema and lens from the URL. */
  read() {
    const parameters = new URLSearchParams(location.search);
    this.#lens = this.net.lenses.find((lens) => lens.key === parameters.get("lens")) ?? null;
    const schema = this.net.schemas.find((other) => other.key === parameters.get("schema"));
    this.show(schema?.row ?? this.#lens?.source ?? (this.whole ? null : this.busiest()));
  }

  /**
   * The schema with the most neighbours: the start in a network too large to be shown whole.
   * @returns {number}
   */
  busiest() {
    const degree = (/** @type {number} */ row) => this.net.out[row].length + this.net.into[row].length;
    return this.connected.reduce((best, row) => (degree(row) > degree(best) ? row : best));
  }

  /**
   * Show a schema, or with null the whole network, as a new entry of the browser's history.
   * @param {number | null} row
   * @param {{ focus?: boolean }} [options]
   */
  choose(row, { focus = false } = {}) {
    this.#lens = null;
    history.pushState(null, "", row === null ? location.pathname : `?schema=${this.net.schemas[row].key}`);
    this.show(row);
    if (focus) /** @type {SVGElement | null} */ (this.box.querySelector("[tabindex='0']"))?.focus({ preventScroll: true });
    this.live.textContent = row === null ? "The whole network is shown." : `${this.nameOf(row)} is in the middle. ${this.summary(row)}`;
  }

  /**
   * @param {number | null} row
   */
  show(row) {
    this.#chosen = row;
    this.#turns.clear();
    this.draw();
    this.describe();
    this.tabulate();
  }

  /**
   * @param {number} row
   * @returns {string}
   */
  nameOf(row) {
    return `${this.net.schemas[row].name} ${this.net.schemas[row].version}`;
  }

  /**
   * The number of lenses from and to a schema, in a sentence.
   * @param {number} row
   * @returns {string}
   */
  summary(row) {
    const count = (/** @type {Edge[]} */ edges) => edges.reduce((sum, edge) => sum + edge.lenses.length, 0);
    const [from, to] = [count(this.net.out[row]), count(this.net.into[row])];
    if (!from && !to) return "No lens starts or ends here.";
    return `${capitalized(plural(from, "lens leads", "lenses lead"))} from it, ${plural(to, "leads", "lead")} to it.`;
  }

  // --- the picture ---------------------------------------------------------------------------------------------

  draw() {
    const { net } = this;
    const chosen = this.#chosen;
    const width = Math.max(280, this.box.clientWidth);
    const layers = chosen === null ? overview(net, this.connected, { width }) : neighbourhood(net, chosen, { width, turns: this.#turns });
    const place = placed(net, layers, { width, chosen });
    const svg = shape("svg", {
      class: "cat-net", width: place.width, height: place.height, viewBox: `0 0 ${place.width} ${place.height}`, role: "group",
      "aria-label": chosen === null ? "The whole lens network" : `Lenses around ${this.nameOf(chosen)}`, "aria-describedby": "network-hint",
    });
    svg.append(arrowheads());
    const [paths, labels, boxes] = [shape("g", { "aria-hidden": "true" }), shape("g"), shape("g")];
    this.#shapes = [];
    for (const line of place.lines) {
      const own = chosen !== null && (line.source === chosen || line.target === chosen);
      const marked = this.#lens !== null && line.lenses.includes(this.#lens);
      const path = shape("path", { d: line.d, class: `cat-net__line${own ? " is-own" : ""}${marked ? " is-chosen" : ""}`, "marker-end": "url(#cat-net-arrow)", "data-source": line.source, "data-target": line.target });
      paths.append(path);
      if (own && line.room) labels.append(this.label(line));
    }
    for (const { words, x, y } of place.captions) labels.append(text(words, { x, y, class: "cat-net__caption", "text-anchor": "middle", "aria-hidden": "true" }));
    for (const box of place.boxes) boxes.append(box.schema === undefined ? this.more(box) : this.schema(box, box.schema));
    svg.append(paths, labels, boxes);
    this.box.replaceChildren(svg);
    const first = this.#shapes.find((item) => item.schema === chosen) ?? this.#shapes[0];
    if (first) first.node.setAttribute("tabindex", "0");
    if (place.width > this.box.clientWidth && first) this.box.scrollLeft = first.x - this.box.clientWidth / 2;
  }

  /**
   * @param {import("./layout.js").Box} box
   * @param {number} row
   * @returns {SVGAElement}
   */
  schema(box, row) {
    const { name, version, publisher, page } = this.net.schemas[row];
    const chosen = row === this.#chosen;
    const link = shape("a", { href: page, class: `cat-net__schema${chosen ? " is-chosen" : ""}`, tabindex: "-1", "data-item": "schema", "data-row": row });
    if (chosen) link.setAttribute("aria-current", "true");
    const inside = shape("svg", { x: box.x + 9, y: box.y, width: box.w - 16, height: box.h, "aria-hidden": "true" }); // clips long text
    const number = cut(version, 12);
    const short = [cut(name, (box.w - 22 - number.length * 6.2) / 7.4), number, cut(publisher, box.w / 6)];
    const title = text(`${short[0]} `, { y: 19, class: "cat-net__name" });
    title.append(Object.assign(shape("tspan", { class: "cat-net__version" }), { textContent: number }));
    inside.append(title, text(` ${short[2]}`, { y: 35, class: "cat-net__by" }));
    link.setAttribute("aria-label", `Schema ${accessibleName(short, [name, version, publisher])}. ${this.summary(row)}`);
    link.append(shape("rect", { x: box.x, y: box.y, width: box.w, height: box.h, rx: 7 }), inside);
    addTooltip(link, short, [name, version, publisher]);
    this.#shapes.push({ node: link, schema: row, column: 2 * box.layer, x: box.x + box.w / 2, y: box.y + box.h / 2 });
    return link;
  }

  /**
   * The button for the next schemas of a layer.
   * @param {import("./layout.js").Box} box
   * @returns {SVGAElement}
   */
  more(box) {
    const count = Number(box.more);
    const link = shape("a", { class: "cat-net__more", tabindex: "-1", role: "button", "data-item": "more", "data-layer": Number(box.of), "aria-label": `${count} more schemas: show the next` });
    link.append(shape("rect", { x: box.x, y: box.y, width: box.w, height: box.h, rx: 7 }), text(`${count.toLocaleString("en")} more`, { x: box.x + box.w / 2, y: box.y + box.h / 2 + 4, "text-anchor": "middle" }));
    this.#shapes.push({ node: link, column: 2 * box.layer, x: box.x + box.w / 2, y: box.y + box.h / 2 });
    return link;
  }

  /**
   * The label of a line: the name of its lens, or the number of its lenses.
   * @param {import("./layout.js").Line} line
   * @returns {SVGAElement}
   */
  label(line) {
    const many = line.lenses.length > 1;
    const words = many ? `${line.lenses.length} lenses` : line.lenses[0].name;
    const width = Math.max(30, line.room);
    const short = cut(words, width / 6.2);
    const name = accessibleName([short], [words]);
    const link = shape("a", {
      href: many ? "#network-lenses" : line.lenses[0].page, class: "cat-net__lens", tabindex: "-1", "data-item": "lens", "data-source": line.source, "data-target": line.target,
      "aria-label": `${many ? name : `Lens ${name}`} from ${this.nameOf(line.source)} to ${this.nameOf(line.target)}`,
    });
    const half = Math.min(width, [...short].length * 6 + 12) / 2;
    const inside = shape("svg", { x: line.x - half, y: line.y - 10, width: 2 * half, height: 20, "aria-hidden": "true" });
    inside.append(text(short, { x: half, y: 14, "text-anchor": "middle" }));
    link.append(shape("rect", { x: line.x - half, y: line.y - 10, width: 2 * half, height: 20, rx: 10 }), inside);
    addTooltip(link, [short], [words]);
    this.#shapes.push({ node: link, column: line.column, x: line.x, y: line.y });
    return link;
  }

  /**
   * Emphasize the lines of the item under the pointer or with the focus.
   * @param {Element | null} item
   */
  emphasize(item) {
    const { row, source, target } = /** @type {SVGElement | null} */ (item)?.dataset ?? {};
    for (const line of /** @type {NodeListOf<SVGElement>} */ (this.box.querySelectorAll(".cat-net__line"))) {
      const ends = line.dataset;
      line.classList.toggle("is-near", row !== undefined ? ends.source === row || ends.target === row : source !== undefined && ends.source === source && ends.target === target);
    }
  }

  // --- navigation ----------------------------------------------------------------------------------------------

  /**
   * @param {KeyboardEvent} event
   */
  walk(event) {
    const here = this.#shapes.find((item) => item.node === event.target);
    if (!here || event.altKey || event.ctrlKey || event.metaKey) return;
    const more = here.node.dataset.item === "more";
    if (event.key === " " || (event.key === "Enter" && more)) {
      event.preventDefault();
      if (here.schema !== undefined) this.choose(here.schema, { focus: true });
      else if (more) this.turn(here.node);
      return;
    }
    const next = step(this.#shapes, here, event.key);
    if (!next) return;
    event.preventDefault();
    here.node.setAttribute("tabindex", "-1");
    next.node.setAttribute("tabindex", "0");
    next.node.focus();
  }

  /**
   * @param {MouseEvent} event
   */
  click(event) {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return; // the browser opens a tab or window
    const target = closest(event, "[data-item], [data-walk]");
    if (!target) return;
    const { item } = target.dataset;
    if (item === "more") {
      this.turn(target);
      return;
    }
    const row = Number(target.dataset.row);
    const enter = event.detail === 0;
    if (item === "lens" || (item && (enter || row === this.#chosen))) return; // the browser opens the page
    event.preventDefault();
    this.choose(row, { focus: Boolean(item) });
    if (!item) this.root.scrollIntoView({ block: "start" });
  }

  /**
   * Show the next schemas of a layer.
   * @param {HTMLElement | SVGElement} node
   */
  turn(node) {
    const layer = Number(node.dataset.layer);
    this.#turns.set(layer, (this.#turns.get(layer) ?? 0) + 1);
    this.draw();
    const again = this.#shapes.find((item) => item.node.dataset.layer === String(layer));
    this.#shapes.forEach((item) => item.node.setAttribute("tabindex", item === again ? "0" : "-1"));
    again?.node.focus({ preventScroll: true });
    this.live.textContent = "The next schemas are shown.";
  }

  // --- text and table ------------------------------------------------------------------------------------------

  describe() {
    const { schemas, lenses } = this.net;
    if (this.#wholeButton) this.#wholeButton.hidden = this.#chosen === null;
    if (this.#chosen === null) {
      const alone = schemas.length - this.connected.length;
      this.about.replaceChildren(element("p", "", `${capitalized(plural(lenses.length, "lens", "lenses"))} between ${plural(this.connected.length, "schema", "schemas")}. ${alone > 0 ? `${plural(alone, "schema has", "schemas have")} none.` : ""}`));
      return;
    }
    const { name, version, publisher, page, datasets, row } = schemas[this.#chosen];
    const title = element("h2");
    title.append(Object.assign(element("a", "cat-type", name), { href: page }), " ", element("span", "cat-version", version));
    this.about.replaceChildren(title, element("p", "cat-quiet", `by ${publisher}, ${plural(datasets, "dataset", "datasets")}. ${this.summary(row)}`));
  }

  tabulate() {
    const { net } = this;
    const chosen = this.#chosen;
    const edges = chosen === null ? this.connected.flatMap((row) => net.out[row]) : [...net.out[chosen], ...net.into[chosen].filter((edge) => edge.source !== chosen)];
    const found = edges.flatMap((edge) => edge.lenses);
    const lenses = this.#lens ? [this.#lens, ...found.filter((lens) => lens !== this.#lens)] : found;
    const title = element("h2", "", "Lenses");
    title.id = "network-lenses";
    const rows = withAttributes(element("tbody"), { role: "rowgroup" });
    const add = () => rows.append(...lenses.slice(rows.rows.length, rows.rows.length + ROWS).map((lens) => this.row(lens)));
    add();
    const head = element("thead");
    const line = element("tr");
    for (const word of ["Lens", "From", "To", "Verification"]) line.append(Object.assign(element("th", "", word), { scope: "col" }));
    head.append(line);
    const table = withAttributes(element("table", "cat-table"), { role: "table" }); // on phones the style sheet makes it a list
    table.append(head, rows);
    const frame = withAttributes(element("div", "cat-scroll"), { tabindex: 0, role: "group", "aria-label": "Table of lenses" });
    frame.append(table);
    this.table.hidden = !lenses.length;
    this.table.replaceChildren(title, frame);
    if (lenses.length > ROWS) this.table.append(moreButton(rows, lenses.length, add));
  }

  /**
   * @param {Lens} lens
   * @returns {HTMLTableRowElement}
   */
  row(lens) {
    const line = withAttributes(element("tr", lens === this.#lens ? "is-chosen" : ""), { role: "row" });
    const head = withAttributes(element("th"), { scope: "row", role: "rowheader" });
    head.append(Object.assign(element("a", "", lens.name), { href: lens.page }));
    line.append(head);
    for (const row of [lens.source, lens.target]) {
      const cell = withAttributes(element("td"), { role: "cell" });
      const { name, version, key } = this.net.schemas[row];
      cell.append(row === this.#chosen ? element("span", "cat-type", name) : withAttributes(element("a", "cat-type", name), { href: `?schema=${key}`, "data-walk": "", "data-row": row }));
      cell.append(" ", element("span", "cat-version", version));
      line.append(cell);
    }
    const state = withAttributes(element("td"), { role: "cell" });
    state.append(element("span", `cat-mark${lens.verified ? " cat-mark--yes" : ""}`, lens.verified ? "verified" : "unverified"));
    line.append(state);
    return line;
  }
}

/**
 * The button that adds rows to a table, and disappears with the last.
 * @param {HTMLTableSectionElement} rows
 * @param {number} total
 * @param {() => void} add
 * @returns {HTMLButtonElement}
 */
function moreButton(rows, total, add) {
  const made = button("cat-button", "");
  const label = () => { made.textContent = `Show more: ${(total - rows.rows.length).toLocaleString("en")} left`; };
  label();
  made.addEventListener("click", () => {
    add();
    if (rows.rows.length >= total) made.remove();
    else label();
  });
  return made;
}

/**
 * @param {number} count
 * @param {string} one
 * @param {string} many
 * @returns {string}
 */
export function plural(count, one, many) {
  return `${count ? count.toLocaleString("en") : "no"} ${count === 1 ? one : many}`;
}

/**
 * @param {string} words
 * @returns {string}
 */
function capitalized(words) {
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/**
 * The accessible name of a text that may be cut: it begins with the visible text, which users of voice control say.
 * @param {string[]} short
 * @param {string[]} whole
 * @returns {string}
 */
export function accessibleName(short, whole) {
  return short.join(" ") + (short.join() === whole.join() ? "" : `, in full ${whole.join(" ")}`);
}

/**
 * @param {SVGElement} target
 * @param {string[]} short
 * @param {string[]} whole
 */
function addTooltip(target, short, whole) {
  if (short.join() !== whole.join()) target.prepend(Object.assign(shape("title"), { textContent: whole.join("\n") }));
}

/**
 * @param {string} words
 * @param {number} most characters
 * @returns {string}
 */
export function cut(words, most) {
  const characters = [...words];
  return characters.length <= most ? words : `${characters.slice(0, Math.max(1, Math.floor(most) - 1)).join("")}…`;
}

/** @returns {SVGDefsElement} */
function arrowheads() {
  const defs = shape("defs");
  const marker = shape("marker", { id: "cat-net-arrow", viewBox: "0 0 8 8", refX: 6, refY: 4, markerWidth: 7, markerHeight: 7, markerUnits: "userSpaceOnUse", orient: "auto" });
  marker.append(shape("path", { d: "M0,0L8,4L0,8z", class: "cat-net__arrow" }));
  defs.append(marker);
  return defs;
}

/**
 * @template {keyof SVGElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, string | number>} [attributes]
 * @returns {SVGElementTagNameMap[T]}
 */
function shape(tag, attributes = {}) {
  return withAttributes(document.createElementNS(SVG, tag), attributes);
}

/**
 * @param {string} words
 * @param {Record<string, string | number>} attributes
 * @returns {SVGTextElement}
 */
function text(words, attributes) {
  return Object.assign(shape("text", attributes), { textContent: words });
}
