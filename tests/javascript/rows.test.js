import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";

import { decodeMsgpack, decodeNumpy, isNumpy, Opaque } from "../../site_templates/assets/msgpack.js";
import { imageSize, pictureForm } from "../../site_templates/assets/rowvalues.js";
import { csvHeader, firstSample, splitName, tarSamples, textSamples } from "../../site_templates/assets/shardrows.js";
import { matchingRows, shardUrls } from "../../site_templates/assets/viewer.js";

/** @param {string} hex */
const bytes = (hex) => new Uint8Array(Buffer.from(hex.replaceAll(" ", ""), "hex"));
/** @param {string} text */
const utf8 = (text) => new TextEncoder().encode(text);

test("msgpack of every kind of value is decoded", () => {
  assert.deepEqual(decodeMsgpack(bytes("85 a161 01 a162 ff a163 c3 a164 c0 a165 92 cb3ff8000000000000 ca3fc00000")), new Map(/** @type {[string, unknown][]} */ ([["a", 1], ["b", -1], ["c", true], ["d", null], ["e", [1.5, 1.5]]])));
  assert.equal(decodeMsgpack(bytes("cf ffffffffffffffff")), 18446744073709551615n);
  assert.equal(decodeMsgpack(bytes("d3 fffffffffffffffe")), -2);
  assert.deepEqual(decodeMsgpack(bytes("c4 02 0102")), bytes("0102"));
  assert.equal(decodeMsgpack(bytes("d9 03 e282ac")), "€");
  assert.ok(decodeMsgpack(bytes("d6 ff 00000000")) instanceof Opaque);
});

test("hostile msgpack ends in an error, without memory for what it claims", () => {
  for (const hex of ["dd ffffffff", "df ffffffff", "c6 ffffffff", "91".repeat(40), "c1", "", "db 7fffffff 61"]) {
    assert.throws(() => decodeMsgpack(bytes(hex)), RangeError, hex.slice(0, 20));
  }
});

test("a key like __proto__ is a key", () => {
  const found = /** @type {Map<string, unknown>} */ (decodeMsgpack(bytes("81 a9 5f5f70726f746f5f5f 01")));
  assert.deepEqual([...found.keys()], ["__proto__"]);
});

/**
 * @param {string} descr
 * @param {string} shape
 * @param {Uint8Array} data
 * @param {string} [fortran]
 */
function npy(descr, shape, data, fortran = "False") {
  const header = utf8(`{'descr': ${descr}, 'fortran_order': ${fortran}, 'shape': ${shape}, }\n`);
  return new Uint8Array([0x93, ...utf8("NUMPY"), 1, 0, header.length & 255, header.length >> 8, ...header, ...data]);
}

test("arrays are read in C order, whatever their own", () => {
  const found = decodeNumpy(npy("'<i2'", "(2, 3)", new Uint8Array(new Int16Array([1, 4, 2, 5, 3, 6]).buffer), "True"));
  assert.deepEqual([found.dtype, found.shape, [0, 1, 2, 3, 4, 5].map(found.at)], ["int16", [2, 3], [1, 2, 3, 4, 5, 6]]);
  const halves = decodeNumpy(npy("'>f2'", "(4,)", bytes("3c00 c000 7c00 0001")));
  assert.deepEqual([0, 1, 2, 3].map(halves.at), [1, -2, Infinity, 2 ** -24]);
  assert.equal(decodeNumpy(npy("'<U5'", "()", utf8("x"))).numbers, false);
  assert.equal(decodeNumpy(npy("[('a', '<i4')]", "(3,)", utf8("x"))).dtype, "structured");
});

test("arrays that claim more than they have are refused", () => {
  for (const shape of ["(1000000,)", "(99999999999, 99999999999)", "(-1,)", "nonsense"]) {
    assert.throws(() => decodeNumpy(npy("'<f8'", shape, new Uint8Array(8))), RangeError, shape);
  }
  assert.ok(!isNumpy(utf8("NUMPY")));
});

/**
 * A tar file made by the real tar.
 * @param {Record<string, string>} files
 */
function tar(files) {
  const names = Object.keys(files);
  const script = `
import io, json, sys, tarfile
out = io.BytesIO()
with tarfile.open(fileobj=out, mode="w", format=getattr(tarfile, sys.argv[1])) as tar:
    for name, text in json.loads(sys.argv[2]):
        info = tarfile.TarInfo(name); info.size = len(text.encode()); info.mtime = float(sys.argv[3])
        tar.addfile(info, io.BytesIO(text.encode()))
sys.stdout.buffer.write(out.getvalue())`;
  return (/** @type {string} */ format, mtime = "0") =>
    new Uint8Array(execFileSync("python3", ["-c", script, format, JSON.stringify(names.map((name) => [name, files[name]])), mtime]));
}

const LONG = `folder/${"n".repeat(140)}`;
const SHARD = tar({ "v1/a.b.txt": "one", "v1/a.cls": "1", [`${LONG}.txt`]: "two", [`${LONG}.cls`]: "2", "c.TXT": "three", "__meta__.json": "{}" });

for (const [format, mtime] of [["USTAR_FORMAT", "0"], ["GNU_FORMAT", "0"], ["PAX_FORMAT", "0"], ["PAX_FORMAT", "1.5"]]) {
  test(`samples of a ${format} file with time ${mtime}`, () => {
    const shard = format === "USTAR_FORMAT" ? tar({ "v1/a.b.txt": "one", "v1/a.cls": "1", "c.TXT": "three" })(format) : SHARD(format, mtime);
    const { samples, done } = tarSamples(shard, 0, true, "webdataset");
    assert.equal(done, true);
    assert.deepEqual(samples.map(({ key, fields }) => [key, [...fields.keys()]]), [
      ["v1/a", ["b.txt", "cls"]], ...(format === "USTAR_FORMAT" ? [] : [[LONG, ["txt", "cls"]]]), ["c", ["txt"]],
    ]);
    // Any part gives the same samples, one after another.
    for (const size of [1024, 1536, 4096]) {
      const found = [];
      for (let [start, length] = [0, size]; start < shard.length;) {
        const part = tarSamples(shard.subarray(start, start + length), start, start + length >= shard.length, "webdataset");
        found.push(...part.samples.map(({ key }) => key));
        if (!part.samples.length && !part.done) length += 512;
        else if (part.done) break;
        else [start, length] = [part.next, size];
      }
      assert.deepEqual(found, samples.map(({ key }) => key), String(size));
    }
    const middle = firstSample(shard.subarray(512), "webdataset");
    assert.ok(middle !== null && samples.some(({ start }) => start === middle + 512));
  });
}

test("what isn't a tar file is an error", () => {
  assert.throws(() => tarSamples(utf8("x".repeat(2000)), 0, true, "msgpack"), /isn’t a tar file/);
  assert.equal(firstSample(new Uint8Array(5000).fill(7), "msgpack"), null);
});

test("keys end at the first dot of the last component", () => {
  assert.deepEqual(["a.b.JPG", "x/v1.2/a.jpg", "no"].map(splitName), [["a", "b.jpg"], ["x/v1.2/a", "jpg"], ["no", ""]]);
});

test("rows of CSV: quotes, line breaks in cells, any cut", () => {
  const text = "\ufeffid;text\r\n1;plain\r\n2;\"a; \"\"quoted\"\"\nline\"\r\n3;ü€\r\n";
  const file = utf8(text);
  const header = csvHeader(file);
  assert.deepEqual([header.names, header.delimiter], [["id", "text"], ";"]);
  const rows = textSamples(file.subarray(header.next), header.next, true, header, 10);
  assert.deepEqual(rows.samples.map(({ fields }) => fields.get("text")), ["plain", "a; \"quoted\"\nline", "ü€"]);
  for (let cut = header.next + 1; cut < file.length; cut += 1) {
    const first = textSamples(file.subarray(header.next, cut), header.next, false, header, 10);
    const rest = textSamples(file.subarray(first.next), first.next, true, header, 10);
    assert.deepEqual([...first.samples, ...rest.samples].map(({ start, end }) => [start, end]), rows.samples.map(({ start, end }) => [start, end]), String(cut));
  }
});

test("lines of JSON", () => {
  const { samples } = textSamples(utf8('{"a": 1}\n\n{"a": "ü"}\n{"a": 3}'), 0, true, null, 10);
  assert.deepEqual(samples.map(({ fields }) => fields.get("")), ['{"a": 1}', '{"a": "ü"}', '{"a": 3}']);
});

test("sizes of images are read from their headers", () => {
  assert.deepEqual(imageSize(bytes(`89504e470d0a1a0a 0000000d 49484452 00000140 000000f0 ${"00".repeat(10)}`)), { type: "image/png", width: 320, height: 240 });
  assert.deepEqual(imageSize(bytes(`ffd8 ffe0 0004 0000 ffc0 0011 08 00f0 0140 ${"00".repeat(20)}`)), { type: "image/jpeg", width: 320, height: 240 });
  assert.equal(imageSize(utf8("<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>")), null);
});

test("arrays that are pictures", () => {
  assert.equal(pictureForm([32, 32, 3], "uint8")?.channels, 3);
  assert.deepEqual(pictureForm([3, 32, 16], "float32"), { height: 32, width: 16, row: 16, column: 1, channel: 512, channels: 3 });
  assert.equal(pictureForm([1, 28, 28], "uint8")?.channels, 1);
  assert.equal(pictureForm([2, 1000], "float32"), null);
  assert.equal(pictureForm([100], "float32"), null);
});

test("rows that match a condition", () => {
  const number = { values: new Float64Array([1, NaN, 3]), column: { name: "x", type: /** @type {const} */ ("number"), dtype: "f8", file: "" } };
  assert.deepEqual(matchingRows(number, ">", "0"), [0, 2]);
  assert.throws(() => matchingRows(number, "=", "x"), /isn’t a number/);
  const text = { values: new Uint8Array([1, 0, 2]), column: { name: "x", type: /** @type {const} */ ("text"), dtype: "u1", file: "", words: ["cat", "dog"] } };
  assert.deepEqual(matchingRows(text, "=", "dog"), [2]);
  const bool = { values: new Uint8Array([1, 0, 2]), column: { name: "x", type: /** @type {const} */ ("bool"), dtype: "u1", file: "" } };
  assert.deepEqual(matchingRows(bool, "=", "false"), [0]);
});

test("addresses of shards of every storage", () => {
  assert.deepEqual(shardUrls({ shards: [{ url: "https://a.example/1.tar" }] }, "did:x", null), ["https://a.example/1.tar"]);
  assert.deepEqual(shardUrls({ bucket: "b", region: "eu-west-1", shards: [{ key: "x y/1.tar" }] }, "did:x", null), ["https://s3.eu-west-1.amazonaws.com/b/x%20y/1.tar"]);
  assert.deepEqual(shardUrls({ blobs: [{ blob: { ref: { $link: "bafy" } } }] }, "did:plc:x", "https://pds.example"), ["https://pds.example/xrpc/com.atproto.sync.getBlob?did=did%3Aplc%3Ax&cid=bafy"]);
});
