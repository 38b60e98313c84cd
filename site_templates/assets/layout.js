// Positions of schemas and lenses in the picture of the lens network. Pure functions of the network and the width.
//
//     layers   -2        -1         0         1         2          schemas that lead to the chosen one are left of it,
//              ┌─┐ ──▶  ┌─┐ ──▶   ┌─┐ ──▶   ┌─┐ ──▶   ┌─┐         those that it leads to are right of it

export const NODE = { height: 46, pitch: 60, margin: 10 };
const COLUMN = 10; // schemas in a column; of the others their number is shown, and they are shown in turns
const WIDE = 940; // pixels from which two steps fit
const NARROW = 620; // pixels below which all schemas are in one column, with lenses as arcs beside it
const MAX_NEIGHBOURS = 200; // in each direction
const CAPTIONS = new Map([[-2, "two steps away"], [-1, "lead to it"], [1, "reached from it"], [2, "two steps away"]]);
const HEAD = 20; // pixels of the captions above the columns

/** @typedef {import("./network.js").Network} Network */
/** @typedef {import("./network.js").Edge} Edge */
/** @typedef {{ schema?: number, more?: number, layer?: number }} Item a schema, or the number of more schemas in a layer */
/** @typedef {Item & { layer: number, of?: number, x: number, y: number, w: number, h: number }} Box `layer` is the column, `of` the item's own layer */
/** @typedef {{ d: string, x: number, y: number, column?: number }} Path the path, and the place of its label */
/** @typedef {Edge & Path & { room: number }} Line */
/** @typedef {{ x: number, y: number, words: string }} Caption */
/** @typedef {{ width: number, height: number, boxes: Box[], lines: Line[], captions: Caption[] }} Picture */
/** @typedef {{ node: Element, x: number, y: number, column?: number, schema?: number }} Shape an element of the picture that can have the focus */

/**
 * The neighbourhood of a schema: layers from left to right.
 * @param {Network} net
 * @param {number} chosen
 * @param {{ width: number, turns?: Map<number, number> }} options turns: how often the next schemas of a layer were requested
 * @returns {Item[][]}
 */
export function neighbourhood(net, chosen, { width, turns = new Map() }) {
  const taken = new Set([chosen]);
  /** @type {Map<number, Item[]>} */
  const layers = new Map([[0, [{ schema: chosen }]]]);
  const put = (/** @type {number} */ layer, /** @type {number[]} */ schemas) => {
    const fresh = [...new Set(schemas)].filter((schema) => !taken.has(schema)).sort(net.order);
    fresh.forEach((schema) => taken.add(schema));
    if (!fresh.length) return [];
    const start = fresh.length > COLUMN ? (turns.get(layer) ?? 0) * COLUMN % (Math.ceil(fresh.length / COLUMN) * COLUMN) : 0;
    const shown = fresh.slice(start, start + COLUMN);
    /** @type {Item[]} */
    const items = shown.map((schema) => ({ schema }));
    if (fresh.length > COLUMN) items.push({ more: fresh.length - shown.length, layer });
    layers.set(layer, items);
    return shown;
  };
  const right = put(1, net.out[chosen].map((edge) => edge.target));
  const left = put(-1, net.into[chosen].map((edge) => edge.source));
  if (width >= WIDE) {
    put(2, right.flatMap((schema) => neighbours(net, schema)));
    put(-2, left.flatMap((schema) => neighbours(net, schema)));
  }
  return [...layers].sort(([a], [b]) => a - b).map(([, items]) => items);
}

/**
 * @param {Network} net
 * @param {number} schema
 * @returns {number[]}
 */
function neighbours(net, schema) {
  return [...net.out[schema].slice(0, MAX_NEIGHBOURS).map((edge) => edge.target), ...net.into[schema].slice(0, MAX_NEIGHBOURS).map((edge) => edge.source)];
}

/**
 * All schemas with a lens: each component below the last, in layers by the longest path to a schema, or by the shortest
 * path if the longest does not fit.
 * @param {Network} net
 * @param {number[]} schemas
 * @param {{ width: number }} options
 * @returns {(Item | null)[][]}
 */
export function overview(net, schemas, { width }) {
  const room = Math.floor((width - 2 * NODE.margin + 70) / (118 + 70));
  /** @type {(Item | null)[][]} */
  const layers = [];
  for (const part of components(net, schemas)) {
    let depth = longest(net, part);
    if (Math.max(...depth.values()) >= room) depth = shortest(net, part);
    /** @type {number[][]} */
    const own = [];
    for (const schema of part) (own[depth.get(schema) ?? 0] ??= []).push(schema);
    untangle(net, own);
    const base = Math.max(0, ...layers.map((items) => items.length));
    own.forEach((found, layer) => {
      const items = layers[layer] ??= [];
      while (items.length < base) items.push(null);
      items.push(...found.map((schema) => ({ schema })));
    });
  }
  return layers;
}

/**
 * The mean position of the neighbours of a schema that have one.
 * @param {Network} net
 * @param {Map<number, number>} rows
 * @param {number} schema
 * @returns {number}
 */
function middle(net, rows, schema) {
  const known = neighbours(net, schema).flatMap((other) => rows.get(other) ?? []);
  return known.length ? known.reduce((a, b) => a + b) / known.length : 0;
}

/**
 * Sort a list in place by weights, each computed once.
 * @template T
 * @param {T[]} list
 * @param {(item: T) => number} weight
 */
function sortBy(list, weight) {
  const sorted = list.map((item) => ({ item, weight: weight(item) })).sort((a, b) => a.weight - b.weight);
  list.splice(0, Infinity, ...sorted.map(({ item }) => item));
}

/**
 * Reduce crossings: move each schema near the middle of its neighbours, in three passes over the layers.
 * @param {Network} net
 * @param {number[][]} layers
 */
function untangle(net, layers) {
  /** @type {Map<number, number>} */
  const rows = new Map();
  for (const pass of [layers, layers.toReversed(), layers]) {
    rows.clear();
    for (const schemas of pass) {
      if (rows.size) sortBy(schemas, (schema) => middle(net, rows, schema));
      schemas.forEach((schema, index) => rows.set(schema, index - schemas.length / 2));
    }
  }
}

/**
 * The connected components, the largest first.
 * @param {Network} net
 * @param {number[]} schemas
 * @returns {number[][]}
 */
function components(net, schemas) {
  const seen = new Set();
  const parts = [];
  for (const start of schemas) {
    if (seen.has(start)) continue;
    const part = [start];
    seen.add(start);
    for (const here of part) {
      for (const next of neighbours(net, here)) if (!seen.has(next)) { seen.add(next); part.push(next); }
    }
    parts.push(part.sort(net.order));
  }
  return parts.sort((a, b) => b.length - a.length || net.order(a[0], b[0]));
}

/**
 * The schemas of a component that no lens leads to.
 * @param {Network} net
 * @param {number[]} part
 * @returns {number[]}
 */
function entries(net, part) {
  return part.filter((schema) => net.into[schema].every((edge) => edge.source === schema));
}

/**
 * The length of the shortest path to each schema, from the entries or else from the first schema, in any direction of lenses.
 * @param {Network} net
 * @param {number[]} part
 * @returns {Map<number, number>}
 */
function shortest(net, part) {
  const starts = entries(net, part);
  const depth = new Map((starts.length ? starts : part.slice(0, 1)).map((schema) => [schema, 0]));
  for (const [schema, steps] of depth) {
    for (const next of neighbours(net, schema)) if (!depth.has(next)) depth.set(next, steps + 1);
  }
  return depth;
}

/**
 * The length of the longest path to each schema, without the lenses that would close a cycle.
 * @param {Network} net
 * @param {number[]} part
 * @returns {Map<number, number>}
 */
function longest(net, part) {
  /** @type {number[]} */
  const order = [];
  const seen = new Set();
  const visit = (/** @type {number} */ root) => { // depth first, without recursion: a chain may be long
    const stack = [{ schema: root, next: 0 }];
    seen.add(root);
    for (let top = stack.at(-1); top; top = stack.at(-1)) {
      const edge = net.out[top.schema][top.next++];
      if (!edge) {
        order.push(top.schema);
        stack.pop();
      } else if (!seen.has(edge.target)) {
        seen.add(edge.target);
        stack.push({ schema: edge.target, next: 0 });
      }
    }
  };
  for (const schema of [...entries(net, part), ...part]) if (!seen.has(schema)) visit(schema);
  const rank = new Map(order.reverse().map((schema, index) => [schema, index]));
  const depth = new Map(part.map((schema) => [schema, 0]));
  for (const schema of order) {
    for (const { target } of net.out[schema]) {
      if (Number(rank.get(target)) > Number(rank.get(schema))) depth.set(target, Math.max(depth.get(target) ?? 0, (depth.get(schema) ?? 0) + 1));
    }
  }
  return depth;
}

/**
 * The positions of boxes and lines.
 * @param {Network} net
 * @param {(Item | null)[][]} layers
 * @param {{ width: number, chosen?: number | null }} options
 * @returns {Picture}
 */
export function placed(net, layers, { width, chosen = null }) {
  return width < NARROW ? arcs(net, layers, width) : columns(net, layers, width, chosen);
}

/**
 * @param {Network} net
 * @param {(Item | null)[][]} layers
 * @param {number} width
 * @param {number | null} chosen
 * @returns {Picture}
 */
function columns(net, layers, width, chosen) {
  const count = layers.length;
  const rows = Math.max(...layers.map((items) => items.length));
  const w = Math.max(118, Math.min(190, Math.floor((width - 2 * NODE.margin) / (count * 1.62 - 0.62))));
  const gap = count > 1 ? Math.max(70, Math.min(210, (width - 2 * NODE.margin - count * w) / (count - 1))) : 0;
  const whole = Math.max(width, 2 * NODE.margin + count * w + (count - 1) * gap);
  const indent = (whole - count * w - (count - 1) * gap) / 2;
  const head = chosen === null || count === 1 ? 0 : HEAD;
  const height = rows * NODE.pitch - (NODE.pitch - NODE.height) + 2 * NODE.margin + head;
  const left = (/** @type {number} */ layer) => Math.round(indent + layer * (w + gap));
  const centre = layers.findIndex((items) => items.some((item) => item?.schema === chosen));
  /** @type {Box[]} */
  const boxes = [];
  if (chosen !== null) settle(net, /** @type {Item[][]} */ (layers), centre);
  layers.forEach((items, layer) => {
    const top = chosen === null ? NODE.margin : (height + head - items.length * NODE.pitch + NODE.pitch - NODE.height) / 2;
    items.forEach((item, row) => {
      if (item) boxes.push({ ...item, layer, of: item.layer, x: left(layer), y: Math.round(top + row * NODE.pitch), w, h: NODE.height });
    });
  });
  const lines = connections(net, boxes).map(({ edge, from, to, side }) => ({ ...edge, ...curve(from, to, side, gap), room: side ? gap / 2 - 10 : gap - 16 }));
  const captions = layers.flatMap((_, layer) => {
    const words = head && CAPTIONS.get(layer - centre);
    const first = boxes.find((box) => box.layer === layer);
    return words && first ? [{ x: left(layer) + w / 2, y: first.y - 8, words }] : [];
  });
  return { width: whole, height, boxes, lines, captions };
}

/**
 * Sort the layers around a chosen schema: each schema near its neighbours in the layer before.
 * @param {Network} net
 * @param {Item[][]} layers
 * @param {number} centre the layer of the chosen schema
 */
function settle(net, layers, centre) {
  for (const direction of [1, -1]) {
    /** @type {Map<number, number>} */
    const rows = new Map();
    for (let layer = centre + direction; layers[layer]; layer += direction) {
      if (rows.size) sortBy(layers[layer], ({ schema }) => (schema === undefined ? Infinity : middle(net, rows, schema)));
      layers[layer].forEach(({ schema }, index) => { if (schema !== undefined) rows.set(schema, index - layers[layer].length / 2); });
    }
  }
}

/**
 * @param {Network} net
 * @param {(Item | null)[][]} layers
 * @param {number} width
 * @returns {Picture}
 */
function arcs(net, layers, width) {
  const items = layers.flat().filter((item) => item !== null);
  const gutter = Math.min(74, Math.round(width * 0.19));
  const boxes = items.map((item, row) => ({
    ...item, of: item.layer, layer: 0, x: gutter, y: NODE.margin + row * NODE.pitch, w: width - gutter - NODE.margin, h: NODE.height,
  }));
  const lines = connections(net, boxes).map(({ edge, from, to, side }) => {
    const [y1, y2] = [from.y + from.h / 2 + side * 6, to.y + to.h / 2 + side * 6];
    const reach = Math.min(gutter - 8, 18 + Math.abs(y2 - y1) / NODE.pitch * 9);
    return { ...edge, d: `M${gutter},${y1}C${gutter - reach * 1.3},${y1} ${gutter - reach * 1.3},${y2} ${gutter - 3},${y2}`, x: gutter - reach, y: (y1 + y2) / 2, room: 0 };
  });
  return { width, height: items.length * NODE.pitch - NODE.pitch + NODE.height + 2 * NODE.margin, boxes, lines, captions: [] };
}

/**
 * The edges whose ends are both in the picture. `side` is 0, or 1 and -1 for the edges of a pair that leads there and back.
 * @param {Network} net
 * @param {Box[]} boxes
 * @returns {{ edge: Edge, from: Box, to: Box, side: number }[]}
 */
function connections(net, boxes) {
  /** @type {Map<number, Box>} */
  const at = new Map(boxes.flatMap((box) => (box.schema === undefined ? [] : [[box.schema, box]])));
  const found = [];
  for (const [schema, from] of at) {
    for (const edge of net.out[schema]) {
      const to = at.get(edge.target);
      if (!to || to === from) continue;
      const back = net.out[edge.target].some((other) => other.target === schema);
      found.push({ edge, from, to, side: back ? (schema < edge.target ? 1 : -1) : 0 });
    }
  }
  return found;
}

/**
 * @param {Box} from
 * @param {Box} to
 * @param {number} side
 * @param {number} gap
 * @returns {Path}
 */
function curve(from, to, side, gap) {
  const [y1, y2] = [from.y + from.h / 2 + side * 8, to.y + to.h / 2 + side * 8];
  if (from.layer === to.layer) {
    const x = from.x + from.w;
    const reach = Math.min(gap * 0.7, 60);
    return { d: `M${x},${y1}C${x + reach},${y1} ${x + reach},${y2} ${x + 3},${y2}`, x: x + reach * 0.75, y: (y1 + y2) / 2, column: 2 * from.layer + 1 };
  }
  const forward = to.layer > from.layer;
  const [x1, x2] = forward ? [from.x + from.w, to.x - 3] : [from.x, to.x + to.w + 3];
  const bend = (x2 - x1) / 2;
  const aside = side * Math.abs(bend) * 0.5; // or the labels of a pair would overlap
  return { d: `M${x1},${y1}C${x1 + bend},${y1} ${x2 - bend},${y2} ${x2},${y2}`, x: (x1 + x2) / 2 + aside, y: (y1 + y2) / 2, column: from.layer + to.layer };
}

/**
 * The shape that an arrow key leads to: up and down within the column, left and right to the nearest in the next column.
 * @template {Shape} T
 * @param {T[]} shapes
 * @param {T} here
 * @param {string} key
 * @returns {T | undefined}
 */
export function step(shapes, here, key) {
  if (key === "Home") return shapes.find(({ node }) => node.getAttribute("aria-current"));
  const direction = key === "ArrowDown" || key === "ArrowRight" ? 1 : -1;
  if (key === "ArrowUp" || key === "ArrowDown") {
    return nearest(shapes.filter((other) => other.column === here.column && (other.y - here.y) * direction > 0), here);
  }
  if (key !== "ArrowLeft" && key !== "ArrowRight") return undefined;
  const steps = (/** @type {T} */ other) => (Number(other.column) - Number(here.column)) * direction;
  const beyond = shapes.filter((other) => steps(other) > 0);
  const next = Math.min(...beyond.map(steps));
  return nearest(beyond.filter((other) => steps(other) === next), here);
}

/**
 * @template {Shape} T
 * @param {T[]} shapes
 * @param {T} here
 * @returns {T | undefined}
 */
function nearest(shapes, here) {
  return shapes.reduce((/** @type {T | undefined} */ best, shape) => (!best || Math.abs(shape.y - here.y) < Math.abs(best.y - here.y) ? shape : best), undefined);
}
