// The lens network as a picture that is walked: a schema in the middle, around it what lenses connect it with.
// Names are somebody else's: they are text, never markup.

import { element, finder } from "./finder.js";
import { neighbourhood, overview, placed, step } from "./layout.js";

const SVG = "http://www.w3.org/2000/svg";
const READABLE = innerWidth < 620 ? 20 : 60; // schemas in a picture of the whole
const ROWS = 25; // of the table, and each time somebody asks for more

export async function startNetwork(root) {
  if (root.dataset.live) return;
  root.dataset.live = "yes";
  let net;
  try {
    const answer = await fetch(root.dataset.network);
    if (!answer.ok) throw new Error(answer.status);
    net = network(await answer.json(), root.dataset.root);
  } catch {
    return; // the list stays
  }
  if (net.lenses.length) new Picture(root, net).start();
}

/** The file's columns as schemas and lenses; lenses with both ends in common are one edge. */
function network(file, base) {
  const { schemas: s, lenses: l, publishers } = file;
  const key = (columns, row) => `${publishers[columns.publisher[row]][0]}/${columns.page[row]}`;
  const schemas = s.name.map((name, row) => ({
    row, name, version: s.version[row], publisher: publishers[s.publisher[row]][1], datasets: s.datasets[row],
    key: key(s, row), page: `${base}schemas/${key(s, row)}/`, lower: name.toLowerCase(),
  }));
  const lenses = l.name.map((name, row) => ({
    name, source: l.source[row], target: l.target[row], verified: Boolean(l.verified[row]),
    key: key(l, row), page: `${base}lenses/${key(l, row)}/`,
  }));
  const [out, into, edges] = [schemas.map(() => []), schemas.map(() => []), new Map()];
  for (const lens of lenses) {
    const ends = `${lens.source} ${lens.target}`;
    if (!edges.has(ends)) {
      const edge = { source: lens.source, target: lens.target, lenses: [] };
      edges.set(ends, edge);
      out[lens.source].push(edge);
      into[lens.target].push(edge);
    }
    edges.get(ends).lenses.push(lens);
  }
  const compare = new Intl.Collator("en", { numeric: true }).compare;
  const sorted = schemas.map((schema) => schema.row).sort((a, b) =>
    compare(schemas[a].name, schemas[b].name) || compare(schemas[a].version, schemas[b].version) || (schemas[a].key < schemas[b].key ? -1 : 1));
  const place = new Map(sorted.map((row, index) => [row, index]));
  return { schemas, lenses, out, into, sorted, order: (a, b) => place.get(a) - place.get(b) };
}

class Picture {
  constructor(root, net) {
    this.root = root;
    this.net = net;
    this.tied = net.sorted.filter((row) => net.out[row].length || net.into[row].length);
    this.whole = this.tied.length <= READABLE;
    this.turns = new Map();
    this.chosen = null;
    this.lens = null;
  }

  start() {
    const { root } = this;
    this.box = element("div", "cat-network__picture");
    this.about = element("div", "cat-network__about");
    this.table = element("section", "cat-part");
    this.table.setAttribute("aria-labelledby", "network-lenses");
    this.live = element("p", "cat-hidden");
    this.live.setAttribute("aria-live", "polite");
    const hint = element("p", "cat-quiet cat-network__hint", "Click a schema to put it in the middle, and again to open its page. By keyboard: arrows walk, Space puts it in the middle, Enter opens.");
    hint.id = "network-hint";
    root.prepend(this.bar(), this.box, hint, this.about, this.live, this.table);
    root.querySelector("[data-static]").hidden = true;
    this.box.addEventListener("keydown", (event) => this.walk(event));
    root.addEventListener("click", (event) => this.click(event));
    this.box.addEventListener("focusin", (event) => this.near(event.target.closest("[data-item]")));
    this.box.addEventListener("mouseover", (event) => this.near(event.target.closest("[data-item]")));
    let width = this.box.clientWidth;
    new ResizeObserver(() => {
      if (Math.abs(this.box.clientWidth - width) < 8) return;
      width = this.box.clientWidth;
      this.draw();
    }).observe(this.box);
    addEventListener("popstate", () => { if (this.root.isConnected) this.read(); });
    this.read();
  }

  bar() {
    const bar = element("div", "cat-network__bar");
    bar.append(finder(this.net, (row) => this.choose(row, { focus: true })));
    if (this.whole) {
      this.all = Object.assign(element("button", "cat-button", "The whole network"), { type: "button" });
      this.all.addEventListener("click", () => this.choose(null));
      bar.append(this.all);
    }
    return bar;
  }

  // --- what is chosen ------------------------------------------------------------------------------------------

  /** Take the choice from the address. */
  read() {
    const asked = new URLSearchParams(location.search);
    const byKey = (things, key) => key === null ? undefined : things.find((thing) => thing.key === key);
    this.lens = byKey(this.net.lenses, asked.get("lens")) ?? null;
    const schema = byKey(this.net.schemas, asked.get("schema"))?.row ?? this.lens?.source ?? null;
    this.show(schema ?? (this.whole ? null : this.busiest()));
  }

  /** Where to begin in a network too large to be seen whole. */
  busiest() {
    const { out, into } = this.net;
    return this.tied.reduce((best, row) => out[row].length + into[row].length > out[best].length + into[best].length ? row : best);
  }

  choose(row, { focus = false } = {}) {
    this.lens = null;
    const address = row === null ? location.pathname : `?schema=${this.net.schemas[row].key}`;
    history.pushState(null, "", address);
    this.show(row);
    if (focus) this.box.querySelector("[tabindex='0']")?.focus({ preventScroll: true });
    this.live.textContent = row === null ? "The whole network is shown." : `${this.words(row)} is in the middle. ${this.told(row)}`;
  }

  show(row) {
    this.chosen = row;
    this.turns.clear();
    this.draw();
    this.tell();
    this.tabulate();
  }

  words(row) {
    return `${this.net.schemas[row].name} ${this.net.schemas[row].version}`;
  }

  told(row) {
    const count = (edges) => edges.reduce((sum, edge) => sum + edge.lenses.length, 0);
    const [from, to] = [count(this.net.out[row]), count(this.net.into[row])];
    if (!from && !to) return "No lens starts or ends here.";
    return `${plural(from, "lens leads", "lenses lead").replace("no", "No")} from it, ${plural(to, "leads", "lead")} to it.`;
  }

  // --- the picture ---------------------------------------------------------------------------------------------

  draw() {
    const { net, chosen } = this;
    const width = Math.max(280, this.box.clientWidth);
    const layers = chosen === null ? overview(net, this.tied, { width }) : neighbourhood(net, chosen, { width, turns: this.turns });
    const place = placed(net, layers, { width, chosen });
    const svg = shape("svg", { class: "cat-net", width: place.width, height: place.height, viewBox: `0 0 ${place.width} ${place.height}`, role: "group" });
    svg.setAttribute("aria-label", chosen === null ? "The whole lens network" : `Lenses around ${this.words(chosen)}`);
    svg.setAttribute("aria-describedby", "network-hint");
    svg.append(arrowheads());
    const [paths, labels, boxes] = [shape("g", { "aria-hidden": "true" }), shape("g"), shape("g")];
    this.items = [];
    for (const line of place.lines) {
      const own = chosen !== null && (line.source === chosen || line.target === chosen);
      const path = shape("path", { d: line.d, class: `cat-net__line${own ? " is-own" : ""}${line.lenses.includes(this.lens) ? " is-chosen" : ""}`, "marker-end": "url(#cat-net-arrow)" });
      Object.assign(path.dataset, { source: line.source, target: line.target });
      paths.append(path);
      if (own && line.room) labels.append(this.label(line));
    }
    for (const { words, ...at } of place.captions) labels.append(text(words, { ...at, class: "cat-net__caption", "text-anchor": "middle", "aria-hidden": "true" }));
    for (const box of place.boxes) boxes.append(box.more ? this.more(box) : this.schema(box));
    svg.append(paths, labels, boxes);
    this.box.replaceChildren(svg);
    const first = this.items.find((item) => item.schema === chosen) ?? this.items[0];
    if (first) first.node.setAttribute("tabindex", "0");
    if (place.width > this.box.clientWidth && first) this.box.scrollLeft = first.x - this.box.clientWidth / 2;
  }

  schema(box) {
    const { row, name, version, publisher, page } = this.net.schemas[box.schema];
    const link = shape("a", { href: page, class: `cat-net__schema${row === this.chosen ? " is-chosen" : ""}`, tabindex: "-1", "data-item": "schema", "data-row": row });
    if (row === this.chosen) link.setAttribute("aria-current", "true");
    const inside = shape("svg", { x: box.x + 9, y: box.y, width: box.w - 16, height: box.h, "aria-hidden": "true" }); // cuts what is too long
    const number = cut(version, 12);
    const short = [cut(name, (box.w - 22 - number.length * 6.2) / 7.4), number, cut(publisher, box.w / 6)];
    const title = text(`${short[0]} `, { y: 19, class: "cat-net__name" });
    title.append(Object.assign(shape("tspan", { class: "cat-net__version" }), { textContent: number }));
    inside.append(title, text(` ${short[2]}`, { y: 35, class: "cat-net__by" }));
    link.setAttribute("aria-label", `Schema ${named(short, [name, version, publisher])}. ${this.told(row)}`);
    link.append(shape("rect", { x: box.x, y: box.y, width: box.w, height: box.h, rx: 7 }), inside);
    titled(link, short, [name, version, publisher]);
    this.items.push({ node: link, schema: row, column: 2 * box.layer, x: box.x + box.w / 2, y: box.y + box.h / 2 });
    return link;
  }

  more(box) {
    const link = shape("a", { class: "cat-net__more", tabindex: "-1", role: "button", "data-item": "more", "data-layer": box.of });
    link.setAttribute("aria-label", `${box.more} more schemas: show the next`);
    link.append(shape("rect", { x: box.x, y: box.y, width: box.w, height: box.h, rx: 7 }), text(`${box.more.toLocaleString("en")} more`, { x: box.x + box.w / 2, y: box.y + box.h / 2 + 4, "text-anchor": "middle" }));
    this.items.push({ node: link, column: 2 * box.layer, x: box.x + box.w / 2, y: box.y + box.h / 2 });
    return link;
  }

  label(line) {
    const many = line.lenses.length > 1;
    const words = many ? `${line.lenses.length} lenses` : line.lenses[0].name;
    const link = shape("a", { href: many ? "#network-lenses" : line.lenses[0].page, class: "cat-net__lens", tabindex: "-1", "data-item": "lens", "data-source": line.source, "data-target": line.target });
    const wide = Math.max(30, line.room);
    const shown = cut(words, wide / 6.2);
    const all = named([shown], [words]);
    link.setAttribute("aria-label", `${many ? all : `Lens ${all}`} from ${this.words(line.source)} to ${this.words(line.target)}`);
    const half = Math.min(wide, [...shown].length * 6 + 12) / 2;
    const inside = shape("svg", { x: line.x - half, y: line.y - 10, width: 2 * half, height: 20, "aria-hidden": "true" });
    inside.append(text(shown, { x: half, y: 14, "text-anchor": "middle" }));
    link.append(shape("rect", { x: line.x - half, y: line.y - 10, width: 2 * half, height: 20, rx: 10 }), inside);
    titled(link, [shown], [words]);
    this.items.push({ node: link, column: line.column, x: line.x, y: line.y });
    return link;
  }

  /** The lines of what is pointed at or has the focus stand out. */
  near(item) {
    const { row, source, target } = item?.dataset ?? {};
    for (const line of this.box.querySelectorAll(".cat-net__line")) {
      const ends = line.dataset;
      line.classList.toggle("is-near", row !== undefined ? ends.source === row || ends.target === row : source !== undefined && ends.source === source && ends.target === target);
    }
  }

  // --- walking -------------------------------------------------------------------------------------------------

  walk(event) {
    const here = this.items.find((item) => item.node === event.target);
    if (!here || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === " " || (event.key === "Enter" && here.node.dataset.item === "more")) {
      event.preventDefault();
      if (here.schema !== undefined) this.choose(here.schema, { focus: true });
      else if (here.node.dataset.item === "more") this.turn(here.node);
      return;
    }
    const next = step(this.items, here, event.key);
    if (!next) return;
    event.preventDefault();
    here.node.setAttribute("tabindex", "-1");
    next.node.setAttribute("tabindex", "0");
    next.node.focus();
  }

  click(event) {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return; // as for any link
    const item = event.target.closest("[data-item], [data-walk]");
    if (!item) return;
    if (item.dataset.item === "more") { this.turn(item); return; }
    const row = Number(item.dataset.row);
    if (item.dataset.item === "lens" || (event.detail === 0 && item.dataset.item) || (item.dataset.item && row === this.chosen)) return; // by Enter, or in the middle already: to its page
    event.preventDefault();
    this.choose(row, { focus: Boolean(item.dataset.item) });
    if (!item.dataset.item) this.root.scrollIntoView({ block: "start" });
  }

  turn(node) {
    const layer = Number(node.dataset.layer);
    this.turns.set(layer, (this.turns.get(layer) ?? 0) + 1);
    this.draw();
    const again = this.items.find((item) => item.node.dataset.layer === String(layer));
    this.items.forEach((item) => item.node.setAttribute("tabindex", item === again ? "0" : "-1"));
    again?.node.focus({ preventScroll: true });
    this.live.textContent = "The next schemas are shown.";
  }

  // --- in words ------------------------------------------------------------------------------------------------

  tell() {
    if (this.all) this.all.hidden = this.chosen === null;
    if (this.chosen === null) {
      this.about.replaceChildren(element("p", "", `${plural(this.net.lenses.length, "lens", "lenses").replace("no", "No")} between ${plural(this.tied.length, "schema", "schemas")}. ${this.net.schemas.length > this.tied.length ? `${plural(this.net.schemas.length - this.tied.length, "schema has", "schemas have")} none.` : ""}`));
      return;
    }
    const { name, version, publisher, page, datasets, row } = this.net.schemas[this.chosen];
    const title = element("h2", "");
    title.append(Object.assign(element("a", "cat-type", name), { href: page }), " ", element("span", "cat-version", version));
    this.about.replaceChildren(title, element("p", "cat-quiet", `by ${publisher}, ${plural(datasets, "dataset", "datasets")}. ${this.told(row)}`));
  }

  tabulate() {
    const { net, chosen } = this;
    const edges = chosen === null ? this.tied.flatMap((row) => net.out[row]) : [...net.out[chosen], ...net.into[chosen].filter((edge) => edge.source !== chosen)];
    const lenses = edges.flatMap((edge) => edge.lenses);
    const title = element("h2", "", "Lenses");
    title.id = "network-lenses";
    const rows = element("tbody");
    rows.setAttribute("role", "rowgroup");
    const chosenFirst = this.lens ? [this.lens, ...lenses.filter((lens) => lens !== this.lens)] : lenses;
    const add = () => rows.append(...chosenFirst.slice(rows.rows.length, rows.rows.length + ROWS).map((lens) => this.row(lens)));
    add();
    const head = element("thead");
    const line = element("tr");
    for (const word of ["Lens", "From", "To", "Verification"]) line.append(Object.assign(element("th", "", word), { scope: "col" }));
    head.append(line);
    const table = element("table", "cat-table");
    table.setAttribute("role", "table"); // on a telephone it is laid out as a list
    table.append(head, rows);
    const frame = Object.assign(element("div", "cat-scroll"), { tabIndex: 0 });
    frame.setAttribute("role", "group");
    frame.setAttribute("aria-label", "Table of lenses");
    frame.append(table);
    this.table.hidden = !lenses.length;
    this.table.replaceChildren(title, frame);
    if (lenses.length > ROWS) this.table.append(this.asking(rows, lenses.length, add));
  }

  asking(rows, total, add) {
    const button = Object.assign(element("button", "cat-button"), { type: "button" });
    const left = () => { button.textContent = `Show more: ${(total - rows.rows.length).toLocaleString("en")} left`; };
    left();
    button.addEventListener("click", () => {
      add();
      if (rows.rows.length >= total) button.remove();
      else left();
    });
    return button;
  }

  row(lens) {
    const line = element("tr", lens === this.lens ? "is-chosen" : "");
    line.setAttribute("role", "row");
    const head = Object.assign(element("th"), { scope: "row" });
    head.setAttribute("role", "rowheader");
    head.append(Object.assign(element("a", "", lens.name), { href: lens.page }));
    line.append(head);
    for (const row of [lens.source, lens.target]) {
      const cell = element("td");
      cell.setAttribute("role", "cell");
      const { name, version, key } = this.net.schemas[row];
      if (row === this.chosen) cell.append(element("span", "cat-type", name));
      else {
        const link = Object.assign(element("a", "cat-type", name), { href: `?schema=${key}` });
        link.dataset.walk = "";
        link.dataset.row = row;
        cell.append(link);
      }
      cell.append(" ", element("span", "cat-version", version));
      line.append(cell);
    }
    const checked = element("td");
    checked.setAttribute("role", "cell");
    checked.append(element("span", `cat-mark${lens.verified ? " cat-mark--yes" : ""}`, lens.verified ? "verified" : "unverified"));
    line.append(checked);
    return line;
  }
}

function plural(count, one, many) {
  return `${count ? count.toLocaleString("en") : "no"} ${count === 1 ? one : many}`;
}

/** What is seen, and all of it where that was cut: who speaks to a page says what he sees. */
function named(short, whole) {
  return short.join(" ") + (short.join() === whole.join() ? "" : `, in full ${whole.join(" ")}`);
}

/** The same for who points at it. */
function titled(link, short, whole) {
  if (short.join() !== whole.join()) link.prepend(Object.assign(shape("title"), { textContent: whole.join("\n") }));
}

function cut(words, most) {
  const signs = [...words];
  return signs.length <= most ? words : `${signs.slice(0, Math.max(1, Math.floor(most) - 1)).join("")}…`;
}

function arrowheads() {
  const defs = shape("defs");
  const marker = shape("marker", { id: "cat-net-arrow", viewBox: "0 0 8 8", refX: 6, refY: 4, markerWidth: 7, markerHeight: 7, markerUnits: "userSpaceOnUse", orient: "auto" });
  marker.append(shape("path", { d: "M0,0L8,4L0,8z", class: "cat-net__arrow" }));
  defs.append(marker);
  return defs;
}

function shape(tag, attributes = {}) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function text(words, attributes) {
  const made = shape("text", attributes);
  made.textContent = words;
  return made;
}
