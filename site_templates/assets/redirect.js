// On the page for missing addresses: /@handle/name/ leads to the dataset that the page /@handle/ lists under this name.

import { request } from "./files.js";

/**
 * The address that a missing one stands for.
 * @param {string} path the path of the missing address
 * @param {URL} root the root of the site
 * @returns {Promise<string | null>}
 */
export async function target(path, root) {
  if (!path.startsWith(root.pathname)) return null;
  const [, handle, name] = path.slice(root.pathname.length).match(/^(@[^/]+)\/([^/]+)\/?$/) ?? [];
  if (!handle) return null;
  const list = new URL(`${handle}/`, root);
  const text = await (await request(list)).text();
  const link = new DOMParser().parseFromString(text, "text/html").getElementById(decodeURIComponent(name));
  const href = link?.getAttribute("href");
  return href ? String(new URL(href, list)) : null;
}

target(location.pathname, new URL("../../", import.meta.url)).then(
  (found) => { if (found) location.replace(found + location.search + location.hash); },
  () => { /* no account of this handle: the page says that the address does not exist */ },
);
