// Text search of a site with an AppView: the AppView's results and those of the site's own index in one list. This file
// replaces text.js, which is still.js beside it. An AppView that is slow, down or invalid is not asked again for a minute.

import { findResults as findHere } from "./still.js";
export { findText, lineOf, loadText, ROOT } from "./still.js";

/** @typedef {import("../assets/textindex.js").Result} Result */
/** @typedef {{ name: string, address: string, result: Result }} Hit the page of a record on this site, if it has one; its result, if not */

const APPVIEW = "{{ appview }}";
const TIMEOUT = 900; // milliseconds from the request to the last byte
const PAUSE = 60_000; // milliseconds after a failed request
const MAX_BYTES = 2_000_000;
const MAX_LOCAL = 24; // results of the site's own index that are compared with the AppView's
/** @type {Record<string, string>} */
const COLLECTIONS = { dataset: "entry", schema: "schema", lens: "lens" };
/** @type {Record<string, string>} */
const SECTIONS = { dataset: "datasets", schema: "schemas", lens: "lenses" };
/** @type {Record<string, string>} */
const QUERIES = { dataset: "getEntry", schema: "getSchema", lens: "getLens" };
const URI = /^at:\/\/(did:[a-z]+:[A-Za-z0-9._:%-]{1,500})\/science\.alt\.dataset\.([a-z]+)\/([A-Za-z0-9._:~-]{1,512})$/;
const PLAIN = /^[a-z0-9][a-z0-9._-]{0,79}$/;
const RESERVED = /^(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?$/;
// Control characters, invisible ones, and those that change the direction of text.
// eslint-disable-next-line no-control-regex
const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]/gu;

let pausedUntil = 0;

/**
 * As in text.js, with the AppView's results first.
 * @param {string} query
 * @param {number} limit
 * @param {boolean} [exactly]
 * @returns {ReturnType<typeof findHere>}
 */
export async function findResults(query, limit, exactly = false) {
  if (!query.trim()) return findHere(query, limit, exactly);
  /** @type {unknown} */
  let failure = null;
  const nothing = { results: [], total: 0, instead: "", full: 0, dropped: [], terms: /** @type {Set<string>} */ (new Set()) };
  const [here, there] = await Promise.all([
    findHere(query, MAX_LOCAL, exactly).catch((error) => { failure = error; return nothing; }),
    ask(query, limit).catch(() => { pausedUntil = Date.now() + PAUSE; return null; }),
  ]);
  if (failure !== null && !there) throw failure;
  const live = there && !(exactly && there.loose) ? there : { hits: [], total: 0, loose: false, full: 0, dropped: [] };
  // Exact matches of the AppView are better than what the site finds with corrected spelling, or without some words.
  const local = here.instead && live.hits.length && !live.loose ? { ...nothing, terms: here.terms } : here;
  const exact = live.hits.slice(0, live.full);
  const ranked = live.dropped.length || local.dropped.length
    ? [...await merged(exact, local.results.slice(0, local.full), limit)]
    : await merged(live.hits, local.results, limit);
  const full = ranked.length;
  const results = full < limit ? await merged(live.hits, [...ranked, ...local.results], limit, ranked) : ranked;
  return {
    results, total: Math.max(results.length, live.total, local.total), instead: local.results.length ? local.instead : "",
    full, dropped: [...new Set([...live.dropped, ...local.dropped])], terms: here.terms,
  };
}

/**
 * The AppView's hits in its order, each with this site's page if there is one; then the results that only this site has.
 * @param {Hit[]} hits
 * @param {Result[]} local
 * @param {number} limit
 * @param {Result[]} [first] results that stay first
 * @returns {Promise<Result[]>}
 */
async function merged(hits, local, limit, first = []) {
  const here = new Map(local.map((result) => [result.address, result]));
  const best = await Promise.all(hits.map(async ({ name, address, result }) => here.get(address) ?? (await pageAt(address, name)) ?? result));
  /** @type {Map<string, Result>} */
  const found = new Map();
  for (const result of [...first, ...best, ...local]) if (!found.has(result.address)) found.set(result.address, result);
  return [...found.values()].slice(0, limit);
}

/**
 * The result of this site with an address, searched by name.
 * @param {string} address
 * @param {string} name
 * @returns {Promise<Result | undefined>}
 */
async function pageAt(address, name) {
  try {
    const { results } = await findHere(name, MAX_LOCAL, true);
    return results.find((result) => result.address === address);
  } catch {
    return undefined;
  }
}

/**
 * The AppView's response; null during the pause after a failure. Every invalid response is an error.
 * @param {string} query
 * @param {number} limit
 * @returns {Promise<{ hits: Hit[], total: number, loose: boolean, full: number, dropped: string[] } | null>}
 */
async function ask(query, limit) {
  if (Date.now() < pausedUntil) return null;
  const open = /[\p{L}\p{N}]{2}$/u.test(query) ? "*" : "";
  const parameters = new URLSearchParams({ q: query.slice(0, 200) + open, limit: String(limit) });
  for (const kind of Object.keys(COLLECTIONS)) parameters.append("kinds", kind);
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), TIMEOUT);
  try {
    const response = await fetch(`${APPVIEW}/xrpc/science.alt.dataset.search?${parameters}`, {
      signal: abort.signal, credentials: "omit", referrerPolicy: "no-referrer", redirect: "error",
    });
    if (!response.ok) throw new Error(`HTTP status ${response.status}`);
    const { hits, total, loose, full, dropped } = JSON.parse(await bodyOf(response));
    if (!Array.isArray(hits)) throw new Error("no hits");
    return {
      hits: await Promise.all(hits.slice(0, limit).map(hitOf)),
      total: Number.isSafeInteger(total) && total >= 0 ? total : 0,
      loose: Array.isArray(loose) && loose.length > 0,
      full: Number.isSafeInteger(full) && full >= 0 ? full : hits.length,
      dropped: Array.isArray(dropped) ? dropped.slice(0, 12).map((word) => line(String(word), 40)) : [],
    };
  } finally {
    clearTimeout(timer);
    abort.abort();
  }
}

/**
 * @param {Response} response
 * @returns {Promise<string>}
 */
async function bodyOf(response) {
  if (!response.body) return "";
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return text + decoder.decode();
    size += value.length;
    if (size > MAX_BYTES) throw new Error(`more than ${MAX_BYTES} bytes`);
    text += decoder.decode(value, { stream: true });
  }
}

/**
 * A hit of the AppView's response, with every part checked.
 * @param {any} hit
 * @returns {Promise<Hit>}
 */
async function hitOf({ kind, uri, handle, draft, record }) {
  const [, did, collection, key] = URI.exec(uri) ?? [];
  if (!Object.hasOwn(COLLECTIONS, kind) || collection !== COLLECTIONS[kind] || typeof record?.name !== "string") throw new Error("invalid hit");
  const { name, version, description, tags, size } = record;
  /** @type {unknown[]} */
  const listed = Array.isArray(tags) ? tags : Array.isArray(record.metadata?.tags) ? record.metadata.tags : [];
  return {
    name,
    address: `${SECTIONS[kind]}/${await safeDid(did)}/${await safe(key)}/`,
    result: {
      name: line(kind === "schema" && typeof version === "string" ? `${name} ${version}` : name, 200),
      address: `${APPVIEW}/xrpc/science.alt.dataset.${QUERIES[kind]}?${new URLSearchParams({ uri })}`,
      kind,
      publisher: draft === true ? "drafts" : line(typeof handle === "string" ? handle : did, 260),
      tags: listed.filter((tag) => typeof tag === "string").slice(0, 4).map((tag) => line(tag, 60)).join(", "),
      size: Number.isSafeInteger(size?.bytes) && size.bytes >= 0 ? byteSize(size.bytes) : "",
      summary: typeof description === "string" ? line(description, 140) : "",
    },
  };
}

/**
 * A text of somebody else as one short line, hidden characters made visible.
 * @param {string} text
 * @param {number} longest
 * @returns {string}
 */
export function line(text, longest) {
  const shown = text.slice(0, 4 * longest).replace(/\s+/g, " ").trim()
    .replace(HIDDEN, (character) => `⟨U+${Number(character.codePointAt(0)).toString(16).toUpperCase().padStart(4, "0")}⟩`);
  return shown.length > longest ? `${shown.slice(0, longest - 1)}…` : shown;
}

/**
 * As catalog/formatting.py does it.
 * @param {number} count
 * @returns {string}
 */
export function byteSize(count) {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let unit = 0;
  let value = count;
  for (; value >= 1000 && unit < units.length - 1; unit++) value /= 1000;
  return `${Number(value.toPrecision(3))} ${units[unit]}`;
}

/**
 * A text as a segment of a page's address (catalog/site/addresses.py); "" if it needs a hash and this page can't compute one.
 * @param {string} text
 * @returns {Promise<string>}
 */
export async function safe(text) {
  if (PLAIN.test(text) && !text.endsWith(".") && !RESERVED.test(text)) return text;
  if (!globalThis.crypto?.subtle) return ""; // an insecure context
  const slug = text.toLowerCase().replace(/[^a-z0-9._]+/g, "-").replace(/^[-._]+|[-._]+$/g, "").slice(0, 63);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
  return `${slug || "x"}~${[...digest.slice(0, 8)].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/**
 * A DID as a segment of a page's address.
 * @param {string} did
 * @returns {Promise<string>}
 */
export async function safeDid(did) {
  const [, method, id] = /^did:([a-z]+):([^:]+)$/.exec(did) ?? [];
  const plain = method ? `did-${method}-${id}` : "";
  return plain && (await safe(plain)) === plain ? plain : safe(did);
}
