// Text search of a site that has an AppView: its answer and the site's own index, in one list. Takes the place of text.js,
// which lies beside it as still.js. An AppView that is late, down or talks nonsense is left alone for a while.

import { findText as findHere } from "./still.js";
export { loadText, ROOT } from "./still.js";

const APPVIEW = "{{ appview }}";
const PATIENCE = 900; // milliseconds from the question to the last byte
const PAUSE = 60_000; // after an answer that wasn't one
const MOST_BYTES = 2_000_000;
const SEEN = 24; // of the site's own results those that are looked through for pages of what the AppView found
const COLLECTIONS = { dataset: "entry", schema: "schema", lens: "lens" };
const SECTIONS = { dataset: "datasets", schema: "schemas", lens: "lenses" };
const QUERIES = { dataset: "getEntry", schema: "getSchema", lens: "getLens" };
const ADDRESS = /^at:\/\/(did:[a-z]+:[A-Za-z0-9._:%-]{1,500})\/science\.alt\.dataset\.([a-z]+)\/([A-Za-z0-9._:~-]{1,512})$/;
const PLAIN = /^[a-z0-9][a-z0-9._-]{0,79}$/;
const RESERVED = /^(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?$/;
const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]/gu;

let quietUntil = 0;

/** As in text.js. With `most` the best are what results show, and `index.shownOf` gives them back. The browse page, which
    has its own rows, gets those. */
export async function findText(term, most = 0, exactly = false) {
  if (!most || !term.trim()) return findHere(term, most, exactly);
  const [here, there] = await Promise.all([
    findHere(term, SEEN, exactly).catch((error) => ({ error })),
    ask(term, most).catch(() => { quietUntil = Date.now() + PAUSE; return null; }),
  ]);
  if (here.error && !there) throw here.error;
  const shown = here.error ? [] : await Promise.all(here.best.map((row) => here.index.shownOf(row)));
  const told = there && !(exactly && there.loose) ? there : { hits: [], total: 0, loose: false };
  const meant = here.instead && told.hits.length && !told.loose ? [] : shown;
  const best = await merged(told.hits, meant, most);
  return {
    best,
    rows: { length: Math.max(best.length, told.total, meant.length ? here.rows.length : 0) },
    instead: meant.length && here.instead ? here.instead : "",
    index: { shownOf: (found) => found },
  };
}

/** The AppView's hits in its order, by the page here where there is one; then what only this site finds. */
async function merged(hits, shown, most) {
  const here = new Map(shown.map((found) => [found.address, found]));
  const best = await Promise.all(hits.map(async ({ address, ...hit }) => here.get(address) ?? (await page(address, hit.name)) ?? hit.live));
  const taken = new Set(best.map((found) => found.address));
  return [...best, ...shown.filter((found) => !taken.has(found.address))].slice(0, most);
}

/** What this site shows of a page, if it has it: a page is found by its name. */
async function page(address, name) {
  try {
    const { best, index } = await findHere(name, SEEN, true);
    const shown = await Promise.all(best.map((row) => index.shownOf(row)));
    return shown.find((found) => found.address === address);
  } catch {
    return undefined;
  }
}

/** What the AppView answers, or null where it isn't asked. Whatever is wrong with the answer is an error. */
async function ask(term, most) {
  if (Date.now() < quietUntil) return null;
  const open = /[\p{L}\p{N}]{2}$/u.test(term) ? "*" : "";
  const asked = new URLSearchParams({ q: term.slice(0, 200) + open, limit: String(most) });
  for (const kind of Object.keys(COLLECTIONS)) asked.append("kinds", kind);
  const gone = new AbortController();
  const timer = setTimeout(() => gone.abort(), PATIENCE);
  try {
    const answer = await fetch(`${APPVIEW}/xrpc/science.alt.dataset.search?${asked}`, {
      signal: gone.signal, credentials: "omit", referrerPolicy: "no-referrer", redirect: "error",
    });
    if (!answer.ok) throw new Error(String(answer.status));
    const { hits, total, loose } = JSON.parse(await text(answer));
    if (!Array.isArray(hits)) throw new Error("no hits");
    const found = await Promise.all(hits.slice(0, most).map(hitOf));
    return { hits: found, total: Number.isSafeInteger(total) && total >= 0 ? total : 0, loose: Array.isArray(loose) && loose.length > 0 };
  } finally {
    clearTimeout(timer);
    gone.abort();
  }
}

async function text(answer) {
  const reader = answer.body.getReader();
  const decoder = new TextDecoder();
  let held = "";
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return held + decoder.decode();
    size += value.length;
    if (size > MOST_BYTES) throw new Error("too long");
    held += decoder.decode(value, { stream: true });
  }
}

/** A hit: its name, the address its page has where there is one, and what to show where there is none. */
async function hitOf({ kind, uri, handle, draft, record }) {
  const [, did, collection, key] = ADDRESS.exec(uri) ?? [];
  if (!Object.hasOwn(COLLECTIONS, kind) || collection !== COLLECTIONS[kind] || typeof record?.name !== "string") throw new Error("no hit");
  const { name, version, description, tags, size } = record;
  const listed = Array.isArray(tags) ? tags : Array.isArray(record.metadata?.tags) ? record.metadata.tags : [];
  return {
    name,
    address: `${SECTIONS[kind]}/${await safeDid(did)}/${await safe(key)}/`,
    live: {
      name: line(kind === "schema" && typeof version === "string" ? `${name} ${version}` : name, 200),
      address: `${APPVIEW}/xrpc/science.alt.dataset.${QUERIES[kind]}?${new URLSearchParams({ uri })}`,
      kind,
      publisher: draft === true ? "drafts" : line(typeof handle === "string" ? handle : did, 260),
      tags: listed.filter((tag) => typeof tag === "string").slice(0, 4).map((tag) => line(tag, 60)).join(", "),
      size: Number.isSafeInteger(size?.bytes) && size.bytes >= 0 ? bytes(size.bytes) : "",
      summary: typeof description === "string" ? line(description, 140) : "",
    },
  };
}

function line(words, longest) {
  const shown = words.slice(0, 4 * longest).replace(/\s+/g, " ").trim().replace(HIDDEN, (sign) => `⟨U+${sign.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`);
  return shown.length > longest ? `${shown.slice(0, longest - 1)}…` : shown;
}

function bytes(count) {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let place = 0;
  let size = count;
  for (; size >= 1000 && place < units.length - 1; place++) size /= 1000;
  return `${Number(size.toPrecision(3))} ${units[place]}`;
}

/** A part of an address, as catalog/site/addresses.py makes it; what has no plain one and no digest here has no page. */
async function safe(words) {
  if (PLAIN.test(words) && !words.endsWith(".") && !RESERVED.test(words)) return words;
  if (!globalThis.crypto?.subtle) return "";
  const slug = words.toLowerCase().replace(/[^a-z0-9._]+/g, "-").replace(/^[-._]+|[-._]+$/g, "").slice(0, 63);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(words)));
  return `${slug || "x"}~${[...digest.slice(0, 8)].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

async function safeDid(did) {
  const [, method, id] = /^did:([a-z]+):([^:]+)$/.exec(did) ?? [];
  const plain = method ? `did-${method}-${id}` : "";
  return plain && (await safe(plain)) === plain ? plain : safe(did);
}
