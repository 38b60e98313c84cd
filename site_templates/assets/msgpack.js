// msgpack and NumPy arrays. The bytes are another party's: depth, number of values and lengths are bounded.

const MAX_DEPTH = 32;
const MAX_VALUES = 200_000;
const text = new TextDecoder("utf-8");

/** A value that has no equivalent here. */
export class Opaque {
  /** @param {string} words */
  constructor(words) { this.words = words; }
}

/**
 * Decode one msgpack value at the beginning of the bytes: a map becomes a Map, a large integer a BigInt.
 * @param {Uint8Array} bytes
 * @returns {unknown}
 */
export function decodeMsgpack(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  let values = 0;

  /** @param {number} count */
  function take(count) {
    if (at + count > bytes.length) throw new RangeError("the sample is truncated");
    at += count;
    return at - count;
  }

  /** @param {number} width */
  function length(width) {
    const place = take(width);
    return width === 1 ? view.getUint8(place) : width === 2 ? view.getUint16(place) : view.getUint32(place);
  }

  /** @param {number} count */
  function binary(count) {
    const place = take(count);
    return bytes.subarray(place, place + count);
  }

  /** @param {number} count */
  function extension(count) {
    const type = view.getInt8(take(1));
    take(count);
    return new Opaque(`extension type ${type}, ${count} bytes`);
  }

  /**
   * @param {number} count
   * @param {number} depth
   */
  function list(count, depth) {
    if (count > bytes.length - at) throw new RangeError("the sample is truncated");
    const found = [];
    for (let number = 0; number < count; number += 1) found.push(value(depth + 1));
    return found;
  }

  /**
   * @param {number} count
   * @param {number} depth
   */
  function map(count, depth) {
    if (2 * count > bytes.length - at) throw new RangeError("the sample is truncated");
    /** @type {Map<unknown, unknown>} */
    const found = new Map();
    for (let number = 0; number < count; number += 1) {
      const key = value(depth + 1);
      found.set(key, value(depth + 1));
    }
    return found;
  }

  /** @param {bigint} big */
  function integer(big) {
    return big >= BigInt(Number.MIN_SAFE_INTEGER) && big <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(big) : big;
  }

  /**
   * @param {number} depth
   * @returns {unknown}
   */
  function value(depth) {
    values += 1;
    if (depth > MAX_DEPTH || values > MAX_VALUES) throw new RangeError("the sample is nested too deeply, or has too many values");
    const code = view.getUint8(take(1));
    if (code < 0x80) return code;
    if (code >= 0xe0) return code - 0x100;
    if (code < 0x90) return map(code & 15, depth);
    if (code < 0xa0) return list(code & 15, depth);
    if (code < 0xc0) return text.decode(binary(code & 31));
    switch (code) {
      case 0xc0: return null;
      case 0xc2: return false;
      case 0xc3: return true;
      case 0xc4: case 0xc5: case 0xc6: return binary(length(1 << (code - 0xc4)));
      case 0xc7: case 0xc8: case 0xc9: return extension(length(1 << (code - 0xc7)));
      case 0xca: return view.getFloat32(take(4));
      case 0xcb: return view.getFloat64(take(8));
      case 0xcc: return view.getUint8(take(1));
      case 0xcd: return view.getUint16(take(2));
      case 0xce: return view.getUint32(take(4));
      case 0xcf: return integer(view.getBigUint64(take(8)));
      case 0xd0: return view.getInt8(take(1));
      case 0xd1: return view.getInt16(take(2));
      case 0xd2: return view.getInt32(take(4));
      case 0xd3: return integer(view.getBigInt64(take(8)));
      case 0xd4: case 0xd5: case 0xd6: case 0xd7: case 0xd8: return extension(1 << (code - 0xd4));
      case 0xd9: case 0xda: case 0xdb: return text.decode(binary(length(1 << (code - 0xd9))));
      case 0xdc: case 0xdd: return list(length(code === 0xdc ? 2 : 4), depth);
      case 0xde: case 0xdf: return map(length(code === 0xde ? 2 : 4), depth);
      default: throw new RangeError("not msgpack");
    }
  }
  return value(0);
}

/** @typedef {{ dtype: string, shape: number[], count: number, at: (index: number) => number, numbers: boolean }} NumpyArray */

/**
 * The elements of an array's bytes; those that aren’t numbers are NaN.
 * @type {Record<string, ((view: DataView, at: number, little: boolean) => number) | undefined>}
 */
const ELEMENTS = {
  b1: (view, at) => view.getUint8(at), u1: (view, at) => view.getUint8(at), i1: (view, at) => view.getInt8(at),
  u2: (view, at, little) => view.getUint16(at, little), i2: (view, at, little) => view.getInt16(at, little),
  u4: (view, at, little) => view.getUint32(at, little), i4: (view, at, little) => view.getInt32(at, little),
  u8: (view, at, little) => Number(view.getBigUint64(at, little)), i8: (view, at, little) => Number(view.getBigInt64(at, little)),
  f2: (view, at, little) => half(view.getUint16(at, little)), f4: (view, at, little) => view.getFloat32(at, little),
  f8: (view, at, little) => view.getFloat64(at, little),
};
const NAMES = /** @type {Record<string, string>} */ ({ b: "bool", u: "uint", i: "int", f: "float", c: "complex" });

/** @param {number} bits */
function half(bits) {
  const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023];
  const size = exponent === 31 ? (fraction ? NaN : Infinity) : exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -24 * fraction;
  return bits & 0x8000 ? -size : size;
}

/** @param {Uint8Array} bytes */
export function isNumpy(bytes) {
  return bytes.length > 10 && bytes[0] === 0x93 && bytes[1] === 0x4e && bytes[2] === 0x55 && bytes[3] === 0x4d && bytes[4] === 0x50 && bytes[5] === 0x59;
}

/**
 * Read the header of a .npy file (numpy.lib.format). Elements are read when they are asked for, in C order.
 * @param {Uint8Array} bytes
 * @returns {NumpyArray}
 */
export function decodeNumpy(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const long = bytes[6] > 1;
  const start = long ? 12 : 10;
  const headerLength = bytes.length < start ? NaN : long ? view.getUint32(8, true) : view.getUint16(8, true);
  if (!(start + headerLength <= Math.min(bytes.length, 10_000))) throw new RangeError("the array has no valid header");
  const header = text.decode(bytes.subarray(start, start + headerLength));
  const shape = (/'shape': *\(([0-9, ]*)\)/.exec(header)?.[1] ?? "x").split(",").map((part) => part.trim()).filter(Boolean).map(Number);
  const [, order, kind, digits] = /'descr': *'([<>|=])([a-zA-Z])([0-9]*)/.exec(header) ?? ["", "|", "V", ""];
  const count = shape.reduce((product, length) => product * length, 1);
  if (!Number.isSafeInteger(count) || shape.length > 32) throw new RangeError("the array has no valid shape");
  const width = Number(digits) * (kind === "U" ? 4 : 1);
  const data = start + headerLength;
  const element = ELEMENTS[kind + digits];
  const dtype = kind in NAMES && digits ? (kind === "b" ? "bool" : NAMES[kind] + 8 * Number(digits)) : /'descr': *\[/.test(header) ? "structured" : kind + digits;
  if (element && data + count * width > bytes.length) throw new RangeError("the array is truncated");
  const at = /'fortran_order': *True/.test(header) ? fortran(shape) : (/** @type {number} */ index) => index;
  return { dtype, shape, count, numbers: Boolean(element), at: (index) => (element ? element(view, data + at(index) * width, order !== ">") : NaN) };
}

/**
 * From the place of an element in C order to that in Fortran order.
 * @param {number[]} shape
 */
function fortran(shape) {
  return (/** @type {number} */ index) => {
    let rest = index;
    const places = shape.map(() => 0);
    for (let axis = shape.length - 1; axis >= 0; axis -= 1) {
      places[axis] = rest % shape[axis];
      rest = Math.floor(rest / shape[axis]);
    }
    let found = 0;
    for (let axis = shape.length - 1; axis >= 0; axis -= 1) found = found * shape[axis] + places[axis];
    return found;
  };
}
