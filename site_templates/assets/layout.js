// Where schemas and lenses stand in the picture of the lens network. Numbers in, numbers out; no document.
//
//     layers   -2        -1         0         1         2          what leads to the chosen schema stands left of it,
//              ┌─┐ ──▶  ┌─┐ ──▶   ┌─┐ ──▶   ┌─┐ ──▶   ┌─┐         what it leads to right of it
//
// The same network and width give the same picture.

export const NODE = { height: 46, pitch: 60, margin: 10 };
const COLUMN = 10; // schemas in a column; the others are told by their number, and take their turn
const WIDE = 940; // pixels from which on two steps have room
const NARROW = 620; // below, everything stands in one column, lenses as arcs beside it
const CAPTIONS = new Map([[-2, "two steps away"], [-1, "lead to it"], [1, "reached from it"], [2, "two steps away"]]);
const HEAD = 20; // pixels of the captions above the columns

/** The neighbourhood of a schema: `layers` from left to right, each a list of {schema} and perhaps {more, layer}. */
export function neighbourhood(net, chosen, { width, turns = new Map() }) {
  const taken = new Set([chosen]);
  const layers = new Map([[0, [{ schema: chosen }]]]);
  const put = (layer, schemas) => {
    const fresh = [...new Set(schemas)].filter((schema) => !taken.has(schema)).sort(net.order);
    fresh.forEach((schema) => taken.add(schema));
    if (!fresh.length) return [];
    const start = fresh.length > COLUMN ? (turns.get(layer) ?? 0) * COLUMN % (Math.ceil(fresh.length / COLUMN) * COLUMN) : 0;
    const shown = fresh.slice(start, start + COLUMN);
    const items = shown.map((schema) => ({ schema }));
    if (fresh.length > COLUMN) items.push({ more: fresh.length - shown.length, layer });
    layers.set(layer, items);
    return shown;
  };
  const right = put(1, net.out[chosen].map((edge) => edge.target));
  const left = put(-1, net.into[chosen].map((edge) => edge.source));
  if (width >= WIDE) {
    put(2, right.flatMap((schema) => around(net, schema)));
    put(-2, left.flatMap((schema) => around(net, schema)));
  }
  return [...layers].sort(([a], [b]) => a - b).map(([, items]) => items);
}

function around(net, schema) {
  return [...net.out[schema].slice(0, 200).map((edge) => edge.target), ...net.into[schema].slice(0, 200).map((edge) => edge.source)];
}

/** All schemas that a lens touches: each part of the network below the last, its layers by the longest way to them, or
    by the shortest where the longest has no room. */
export function overview(net, schemas, { width }) {
  const room = Math.floor((width - 2 * NODE.margin + 70) / (118 + 70));
  const layers = [];
  for (const part of components(net, schemas)) {
    let depth = longest(net, part);
    if (Math.max(...depth.values()) >= room) depth = shortest(net, part);
    const own = [];
    for (const schema of part) (own[depth.get(schema)] ??= []).push(schema);
    untangle(net, own);
    const base = Math.max(0, ...layers.map((items) => items.length));
    own.forEach((schemas, layer) => {
      const items = layers[layer] ??= [];
      while (items.length < base) items.push(null);
      items.push(...schemas.map((schema) => ({ schema })));
    });
  }
  return layers;
}

/** Each schema near the middle of those it is tied to in the layers before, then after, and once more. */
function untangle(net, layers) {
  const row = new Map();
  const note = (schemas) => schemas.forEach((schema, index) => row.set(schema, index - schemas.length / 2));
  const middle = (schema) => {
    const tied = around(net, schema).filter((other) => row.has(other)).map((other) => row.get(other));
    return tied.length ? tied.reduce((a, b) => a + b) / tied.length : 0;
  };
  for (const turn of [layers, layers.toReversed(), layers]) {
    row.clear();
    for (const schemas of turn) {
      const sorted = row.size ? schemas.map((schema) => [middle(schema), schema]).sort((a, b) => a[0] - b[0]) : schemas.map((schema) => [0, schema]);
      schemas.splice(0, Infinity, ...sorted.map(([, schema]) => schema));
      note(schemas);
    }
  }
}

function components(net, schemas) {
  const seen = new Set();
  const parts = [];
  for (const start of schemas) {
    if (seen.has(start)) continue;
    const part = [start];
    seen.add(start);
    for (const here of part) {
      for (const next of around(net, here)) if (!seen.has(next)) { seen.add(next); part.push(next); }
    }
    parts.push(part.sort(net.order));
  }
  return parts.sort((a, b) => b.length - a.length || net.order(a[0], b[0]));
}

/** Schema → its steps from where lenses only start, or else from the first, whichever way they lead. */
function shortest(net, part) {
  const entries = part.filter((schema) => net.into[schema].every((edge) => edge.source === schema));
  const depth = new Map((entries.length ? entries : part.slice(0, 1)).map((schema) => [schema, 0]));
  for (const [schema, steps] of depth) {
    for (const next of around(net, schema)) if (!depth.has(next)) depth.set(next, steps + 1);
  }
  return depth;
}

/** Schema → the most steps to it. Lenses that would close a circle don't count. */
function longest(net, part) {
  const order = [];
  const state = new Map();
  const visit = (root) => { // depth first, without recursion: a chain may be long
    const stack = [[root, 0]];
    state.set(root, 1);
    while (stack.length) {
      const top = stack.at(-1);
      const edge = net.out[top[0]][top[1]++];
      if (!edge) { state.set(top[0], 2); order.push(top[0]); stack.pop(); }
      else if (!state.has(edge.target)) { state.set(edge.target, 1); stack.push([edge.target, 0]); }
    }
  };
  const entries = part.filter((schema) => net.into[schema].every((edge) => edge.source === schema));
  for (const schema of [...entries, ...part]) if (!state.has(schema)) visit(schema);
  const rank = new Map(order.reverse().map((schema, index) => [schema, index]));
  const depth = new Map(part.map((schema) => [schema, 0]));
  for (const schema of order) {
    for (const { target } of net.out[schema]) {
      if (rank.get(target) > rank.get(schema)) depth.set(target, Math.max(depth.get(target), depth.get(schema) + 1));
    }
  }
  return depth;
}

/** Boxes and lines with their places: {width, height, boxes, lines, captions}; a box has x, y, w, h, a line its path `d`. */
export function placed(net, layers, { width, chosen = null }) {
  return width < NARROW ? arcs(net, layers, width) : columns(net, layers, { width, chosen });
}

function columns(net, layers, { width, chosen }) {
  const count = layers.length;
  const rows = Math.max(...layers.map((items) => items.length));
  const w = Math.max(118, Math.min(190, Math.floor((width - 2 * NODE.margin) / (count * 1.62 - 0.62))));
  const gap = count > 1 ? Math.max(70, Math.min(210, (width - 2 * NODE.margin - count * w) / (count - 1))) : 0;
  const whole = Math.max(width, 2 * NODE.margin + count * w + (count - 1) * gap);
  const indent = (whole - count * w - (count - 1) * gap) / 2;
  const head = chosen === null || count === 1 ? 0 : HEAD;
  const height = rows * NODE.pitch - (NODE.pitch - NODE.height) + 2 * NODE.margin + head;
  const left = (layer) => Math.round(indent + layer * (w + gap));
  const boxes = [];
  settle(net, layers, chosen);
  layers.forEach((items, layer) => {
    const top = chosen === null ? NODE.margin : (height + head - items.length * NODE.pitch + NODE.pitch - NODE.height) / 2;
    items.forEach((item, row) => {
      if (item) boxes.push({ ...item, layer, of: item.layer, x: left(layer), y: Math.round(top + row * NODE.pitch), w, h: NODE.height });
    });
  });
  const lines = between(net, boxes).map(({ edge, from, to, both }) => ({ ...edge, ...curve(from, to, both, gap), room: both ? gap / 2 - 10 : gap - 16 }));
  const middle = layers.findIndex((items) => items.some((item) => item?.schema === chosen));
  const captions = layers.flatMap((_, layer) => {
    const words = head && CAPTIONS.get(layer - middle);
    return words ? [{ x: left(layer) + w / 2, y: boxes.find((box) => box.layer === layer).y - 8, words }] : [];
  });
  return { width: whole, height, boxes, lines, captions };
}

/** The order within the layers: each schema near those it is tied to in the layer nearer to the chosen one. */
function settle(net, layers, chosen) {
  if (chosen === null) return;
  const middle = layers.findIndex((items) => items.some((item) => item.schema === chosen));
  const row = new Map();
  const note = (items) => items.forEach((item, index) => row.set(item.schema, index - items.length / 2));
  for (const step of [1, -1]) {
    for (let layer = middle + step; layers[layer]; layer += step) {
      const weight = (item) => {
        if (item.more) return Infinity;
        const tied = around(net, item.schema).filter((schema) => row.has(schema)).map((schema) => row.get(schema));
        return tied.length ? tied.reduce((a, b) => a + b) / tied.length : 0;
      };
      if (layer !== middle + step) {
        const sorted = layers[layer].map((item) => [weight(item), item]).sort((a, b) => a[0] - b[0]).map(([, item]) => item);
        layers[layer].splice(0, Infinity, ...sorted);
      }
      note(layers[layer]);
    }
    row.clear();
  }
}

function arcs(net, layers, width) {
  const items = layers.flat().filter(Boolean);
  const gutter = Math.min(74, Math.round(width * 0.19));
  const boxes = items.map((item, row) => ({
    ...item, of: item.layer, layer: 0, x: gutter, y: NODE.margin + row * NODE.pitch, w: width - gutter - NODE.margin, h: NODE.height,
  }));
  const lines = between(net, boxes).map(({ edge, from, to, both }) => {
    const [y1, y2] = [from.y + from.h / 2 + both * 6, to.y + to.h / 2 + both * 6];
    const reach = Math.min(gutter - 8, 18 + Math.abs(y2 - y1) / NODE.pitch * 9);
    return { ...edge, d: `M${gutter},${y1}C${gutter - reach * 1.3},${y1} ${gutter - reach * 1.3},${y2} ${gutter - 3},${y2}`, x: gutter - reach, y: (y1 + y2) / 2, room: 0 };
  });
  return { width, height: items.length * NODE.pitch - NODE.pitch + NODE.height + 2 * NODE.margin, boxes, lines, captions: [] };
}

function between(net, boxes) {
  const at = new Map(boxes.filter((box) => box.schema !== undefined).map((box) => [box.schema, box]));
  const found = [];
  for (const [schema, from] of at) {
    for (const edge of net.out[schema]) {
      const to = at.get(edge.target);
      if (!to || to === from) continue;
      const there = net.out[edge.target].some((other) => other.target === schema);
      found.push({ edge, from, to, both: there ? (schema < edge.target ? 1 : -1) : 0 });
    }
  }
  return found;
}

function curve(from, to, both, gap) {
  const [y1, y2] = [from.y + from.h / 2 + both * 8, to.y + to.h / 2 + both * 8];
  if (from.layer === to.layer) {
    const x = from.x + from.w;
    const reach = Math.min(gap * 0.7, 60);
    return { d: `M${x},${y1}C${x + reach},${y1} ${x + reach},${y2} ${x + 3},${y2}`, x: x + reach * 0.75, y: (y1 + y2) / 2, column: 2 * from.layer + 1 };
  }
  const ahead = to.layer > from.layer;
  const [x1, x2] = ahead ? [from.x + from.w, to.x - 3] : [from.x, to.x + to.w + 3];
  const bend = (x2 - x1) / 2;
  // There and back: the names of the two would lie on each other.
  const aside = both * Math.abs(bend) * 0.5;
  return { d: `M${x1},${y1}C${x1 + bend},${y1} ${x2 - bend},${y2} ${x2},${y2}`, x: (x1 + x2) / 2 + aside, y: (y1 + y2) / 2, column: from.layer + to.layer };
}

/** The item that an arrow key leads to: in the same column the next, else the nearest of the next column. */
export function step(items, here, key) {
  if (key === "Home") return items.find((item) => item.node.getAttribute("aria-current"));
  const sign = key === "ArrowDown" || key === "ArrowRight" ? 1 : -1;
  if (key === "ArrowUp" || key === "ArrowDown") {
    return nearest(items.filter((item) => item.column === here.column && (item.y - here.y) * sign > 0), here);
  }
  if (key !== "ArrowLeft" && key !== "ArrowRight") return undefined;
  const beyond = items.filter((item) => (item.column - here.column) * sign > 0);
  const next = Math.min(...beyond.map((item) => Math.abs(item.column - here.column)));
  return nearest(beyond.filter((item) => Math.abs(item.column - here.column) === next), here);
}

function nearest(items, here) {
  return items.reduce((best, item) => !best || Math.abs(item.y - here.y) < Math.abs(best.y - here.y) ? item : best, undefined);
}
