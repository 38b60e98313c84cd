// The values of samples as elements. They are another party's: text stays text, pictures are drawn on a canvas within limits,
// and nothing is interpreted as HTML or SVG.

import { element, withAttributes } from "./dom.js";
import { Opaque, decodeMsgpack, decodeNumpy, isNumpy } from "./msgpack.js";

const MAX_TEXT = 2000;
const MAX_PIXELS = 40_000_000; // of a picture, decoded
const MAX_SIDE = 320; // of a canvas
const MAX_POINTS = 240;
const MAX_ELEMENTS = 4_000_000; // of an array that is drawn
const MAX_SOUND = 8_000_000;

/** @typedef {import("./msgpack.js").NumpyArray} NumpyArray */
/** form: how much room it takes. @typedef {{ node: HTMLElement | SVGElement, form: "short" | "text" | "media" }} Shown */

/**
 * The fields of a stored sample, decoded.
 * @param {import("./shardrows.js").StoredSample} sample
 * @param {string} format
 * @returns {[name: string, value: unknown][]}
 */
export function fieldsOf({ fields }, format) {
  if (format === "msgpack") {
    const map = decodeMsgpack(/** @type {Uint8Array} */ (fields.get("")));
    return map instanceof Map ? [...map].map(([name, value]) => [String(name), value]) : [["", map]];
  }
  if (format === "jsonl") {
    const row = JSON.parse(String(fields.get("")));
    return row && typeof row === "object" && !Array.isArray(row) ? Object.entries(row) : [["", row]];
  }
  return [...fields].map(([name, value]) => [name, typeof value === "string" ? value : member(name, value)]);
}

/**
 * The value of a member of a WebDataset, by its extension.
 * @param {string} field
 * @param {Uint8Array} bytes
 */
function member(field, bytes) {
  const extension = field.slice(field.lastIndexOf(".") + 1);
  if (["txt", "text", "transcript", "cls", "cls2", "index", "inx", "id", "csv", "yaml", "caption", "xml", "html"].includes(extension)) return new TextDecoder().decode(bytes);
  if (!["json", "jsn"].includes(extension)) return ["mp", "msg", "msgpack"].includes(extension) ? decodeMsgpack(bytes) : bytes;
  const text = new TextDecoder().decode(bytes);
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/**
 * A value as an element.
 * @param {unknown} value
 * @param {string} name of its field, for screen readers
 * @returns {Promise<Shown>}
 */
export async function show(value, name) {
  if (value === null || value === undefined || value === "") return small("–", "cat-quiet");
  if (typeof value === "string") return words(value);
  if (typeof value === "number" || typeof value === "bigint" || typeof value === "boolean") return small(String(value));
  if (value instanceof Opaque) return small(value.words, "cat-quiet");
  if (!(value instanceof Uint8Array)) return words(JSON.stringify(plain(value)));
  if (isNumpy(value)) return array(decodeNumpy(value), name);
  return (await picture(value, name)) ?? sound(value, name) ?? small(`${value.length.toLocaleString("en")} bytes`, "cat-quiet");
}

/**
 * @param {string} text
 * @param {string} [className]
 * @returns {Shown}
 */
function small(text, className = "") {
  return { node: element("bdi", className, text), form: "short" };
}

/**
 * @param {string} text
 * @returns {Shown}
 */
function words(text) {
  const node = withAttributes(element("span", "cat-words", text.slice(0, MAX_TEXT)), { dir: "auto" });
  if (text.length > MAX_TEXT) node.append(element("span", "cat-quiet", ` … ${text.length.toLocaleString("en")} characters`));
  return { node, form: text.length > 80 ? "text" : "short" };
}

/**
 * A map or list as JSON can write it.
 * @param {unknown} value
 * @returns {unknown}
 */
function plain(value) {
  if (value instanceof Map) return Object.fromEntries([...value].map(([key, item]) => [String(key), plain(item)]));
  if (Array.isArray(value)) return value.map(plain);
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  if (value instanceof Opaque) return value.words;
  return typeof value === "bigint" ? String(value) : value;
}

/**
 * The width and height that an image file states; null for files that aren't images a browser draws.
 * @param {Uint8Array} bytes
 * @returns {{ type: string, width: number, height: number } | null}
 */
export function imageSize(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = String.fromCharCode(...bytes.subarray(0, 16));
  if (bytes.length < 30) return null;
  if (start.startsWith("\x89PNG\r\n\x1a\n")) return { type: "image/png", width: view.getUint32(16), height: view.getUint32(20) };
  if (/^GIF8[79]a/.test(start)) return { type: "image/gif", width: view.getUint16(6, true), height: view.getUint16(8, true) };
  if (start.startsWith("BM")) return { type: "image/bmp", width: Math.abs(view.getInt32(18, true)), height: Math.abs(view.getInt32(22, true)) };
  if (start.startsWith("RIFF") && start.slice(8, 12) === "WEBP") {
    if (start.slice(12) === "VP8X") return { type: "image/webp", width: 1 + (view.getUint32(24, true) & 0xffffff), height: 1 + (view.getUint32(26, true) >> 8) };
    if (start.slice(12) === "VP8L") {
      const bits = view.getUint32(21, true);
      return { type: "image/webp", width: 1 + (bits & 0x3fff), height: 1 + ((bits >> 14) & 0x3fff) };
    }
    return { type: "image/webp", width: view.getUint16(26, true) & 0x3fff, height: view.getUint16(28, true) & 0x3fff };
  }
  if (!start.startsWith("\xff\xd8\xff")) return null;
  for (let at = 2; at + 9 < bytes.length && bytes[at] === 0xff;) {
    const marker = bytes[at + 1];
    if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) return { type: "image/jpeg", width: view.getUint16(at + 7), height: view.getUint16(at + 5) };
    at += marker === 0xff ? 1 : 2 + view.getUint16(at + 2);
  }
  return null;
}

/**
 * @param {Uint8Array} bytes
 * @param {string} name
 * @returns {Promise<Shown | null>}
 */
async function picture(bytes, name) {
  const size = imageSize(bytes);
  if (!size) return null;
  const { type, width, height } = size;
  if (width * height > MAX_PIXELS) return small(`image of ${width} × ${height} pixels, too large to draw`, "cat-quiet");
  try {
    const bitmap = await createImageBitmap(new Blob([/** @type {BlobPart} */ (bytes)], { type }));
    const node = canvas(bitmap.width, bitmap.height, `${name}: image, ${bitmap.width} × ${bitmap.height}`, (context, wide, high) => {
      context.drawImage(bitmap, 0, 0, wide, high);
    });
    bitmap.close();
    return { node, form: "media" };
  } catch {
    return small(`image of ${width} × ${height} pixels that can’t be drawn`, "cat-quiet");
  }
}

/**
 * @param {number} width
 * @param {number} height
 * @param {string} label
 * @param {(context: CanvasRenderingContext2D, width: number, height: number) => void} draw
 */
function canvas(width, height, label, draw) {
  const scale = Math.min(1, MAX_SIDE / Math.max(width, height));
  const node = withAttributes(element("canvas", width < 64 && height < 64 ? "cat-pixels" : ""), { role: "img", "aria-label": label });
  node.width = Math.max(1, Math.round(width * scale));
  node.height = Math.max(1, Math.round(height * scale));
  const context = node.getContext("2d");
  if (context) draw(context, node.width, node.height);
  return node;
}

/**
 * A player, for the sound formats that browsers play.
 * @param {Uint8Array} bytes
 * @param {string} name
 * @returns {Shown | null}
 */
function sound(bytes, name) {
  const start = String.fromCharCode(...bytes.subarray(0, 12));
  const type = start.startsWith("RIFF") && start.endsWith("WAVE") ? "audio/wav" : start.startsWith("fLaC") ? "audio/flac"
    : start.startsWith("OggS") ? "audio/ogg" : start.startsWith("ID3") || (bytes[0] === 0xff && (bytes[1] & 0xe6) === 0xe2) ? "audio/mpeg" : "";
  if (!type) return null;
  if (bytes.length > MAX_SOUND) return small(`sound of ${bytes.length.toLocaleString("en")} bytes, too large to play`, "cat-quiet");
  const player = withAttributes(element("audio"), { controls: "", preload: "none", "aria-label": `${name}: sound` });
  player.src = URL.createObjectURL(new Blob([/** @type {BlobPart} */ (bytes)], { type }));
  const box = element("span", "cat-sound");
  box.append(player);
  player.addEventListener("error", () => box.replaceChildren(element("bdi", "cat-quiet", "sound that can’t be played here")));
  return { node: box, form: "media" };
}

/** Release the memory of the players below an element. */
export function release(/** @type {ParentNode} */ root) {
  root.querySelectorAll("audio").forEach((player) => URL.revokeObjectURL(player.src));
}

/**
 * @param {NumpyArray} found
 * @param {string} name
 * @returns {Shown}
 */
function array(found, name) {
  const { dtype, shape, count, numbers } = found;
  const about = `${dtype} (${shape.join(", ")})`;
  if (!numbers || count === 0) return small(about, "cat-quiet");
  if (count <= 4) return small(`${Array.from({ length: count }, (_, at) => short(found.at(at))).join(", ")}`);
  const label = `${name}: ${about}`;
  if (count <= MAX_ELEMENTS) {
    const form = pictureForm(shape, dtype);
    if (form) return { node: arrayPicture(found, form, label), form: "media" };
  }
  const long = shape.filter((length) => length > 1);
  if (long.length === 1) return { node: plot(found, label), form: "media" };
  return small(`${about}: ${Array.from({ length: 4 }, (_, at) => short(found.at(at))).join(", ")} …`, "cat-quiet");
}

/** @param {number} value */
function short(value) {
  return String(Number(value.toPrecision(4)));
}

/**
 * How an array is a picture: its height and width, and the steps between rows, columns and channels; null if it isn't one.
 * @param {number[]} shape
 * @param {string} dtype
 */
export function pictureForm(shape, dtype) {
  const axes = shape.filter((length, axis) => length > 1 || axis >= shape.length - 2);
  const [first, second, third] = axes;
  const fits = (/** @type {number} */ high, /** @type {number} */ wide) => high >= 4 && wide >= 4 && high <= 8192 && wide <= 8192 && high / wide < 40 && wide / high < 40;
  if (axes.length === 2 && fits(first, second)) return { height: first, width: second, row: second, column: 1, channel: 0, channels: 1 };
  if (axes.length !== 3) return null;
  if ([1, 3, 4].includes(third) && fits(first, second)) return { height: first, width: second, row: second * third, column: third, channel: 1, channels: third };
  if ([1, 3].includes(first) && fits(second, third) && dtype !== "bool") return { height: second, width: third, row: third, column: 1, channel: second * third, channels: first };
  return null;
}

/**
 * @param {NumpyArray} found
 * @param {NonNullable<ReturnType<typeof pictureForm>>} form
 * @param {string} label
 */
function arrayPicture(found, { height, width, row, column, channel, channels }, label) {
  let [low, high] = [Infinity, -Infinity];
  for (let at = 0; at < found.count; at += 1) {
    const value = found.at(at);
    if (Number.isFinite(value)) [low, high] = [Math.min(low, value), Math.max(high, value)];
  }
  if (found.dtype === "uint8" && channels > 1) [low, high] = [0, 255];
  const span = high > low ? high - low : 1;
  const step = Math.max(1, Math.ceil(Math.max(height, width) / MAX_SIDE));
  const [wide, tall] = [Math.floor((width - 1) / step) + 1, Math.floor((height - 1) / step) + 1];
  const pixels = new ImageData(wide, tall);
  for (let y = 0; y < tall; y += 1) {
    for (let x = 0; x < wide; x += 1) {
      const from = y * step * row + x * step * column;
      const shade = (/** @type {number} */ number) => (255 * (found.at(from + number * channel) - low)) / span;
      const gray = channels < 3;
      const alpha = channels === 4 && found.dtype === "uint8" ? found.at(from + 3 * channel) : 255;
      pixels.data.set([shade(0), shade(gray ? 0 : 1), shade(gray ? 0 : 2), alpha], 4 * (y * wide + x));
    }
  }
  return canvas(wide, tall, label, (context) => context.putImageData(pixels, 0, 0));
}

/**
 * A line of the elements; many are thinned to the lowest and highest of each step.
 * @param {NumpyArray} found
 * @param {string} label
 */
function plot(found, label) {
  const count = Math.min(found.count, MAX_ELEMENTS);
  const step = Math.max(1, Math.ceil((2 * count) / MAX_POINTS));
  /** @type {[number, number][]} */
  const points = [];
  for (let at = 0; at < count; at += step) {
    let [low, high] = [Infinity, -Infinity];
    for (let place = at; place < Math.min(count, at + step); place += 1) {
      const value = found.at(place);
      if (Number.isFinite(value)) [low, high] = [Math.min(low, value), Math.max(high, value)];
    }
    if (low <= high) points.push([at, low], ...(step > 1 ? [/** @type {[number, number]} */ ([at + step / 2, high])] : []));
  }
  const lows = points.map(([, value]) => value);
  const [low, high] = [Math.min(...lows), Math.max(...lows)];
  const path = points.map(([x, y], number) => `${number ? "L" : "M"}${((240 * x) / Math.max(1, count - 1)).toFixed(1)} ${(58 - (56 * (y - low)) / (high - low || 1)).toFixed(1)}`).join("");
  const space = "http://www.w3.org/2000/svg";
  const svg = withAttributes(document.createElementNS(space, "svg"), {
    class: "cat-plot cat-plot--line", viewBox: "0 0 240 60", preserveAspectRatio: "none", role: "img", "aria-label": `${label}, from ${short(low)} to ${short(high)}`,
  });
  svg.append(withAttributes(document.createElementNS(space, "path"), { d: path }));
  return svg;
}
