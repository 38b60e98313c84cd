// fetch() over files in memory, and the requests that were made.

export const ROOT = new URL("https://catalog.example/");

/**
 * Serve files by path until the test ends.
 * @param {import("node:test").TestContext} t
 * @param {Record<string, unknown>} files path → JSON value, text or bytes
 * @returns {string[]} the requested paths, without the version
 */
export function serve(t, files) {
  /** @type {string[]} */
  const requested = [];
  const before = globalThis.fetch;
  t.after(() => { globalThis.fetch = before; });
  globalThis.fetch = async (url) => {
    const path = new URL(String(url)).pathname.slice(1);
    requested.push(path);
    if (!Object.hasOwn(files, path)) return new Response("", { status: 404 });
    const content = files[path];
    return new Response(content instanceof Uint8Array ? new Uint8Array(content) : typeof content === "string" ? content : JSON.stringify(content));
  };
  return requested;
}
