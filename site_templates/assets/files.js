// Requests for the site's data files.

/**
 * Request a file; every status but 2xx is an error.
 * @param {string | URL} url
 * @param {RequestInit} [options]
 * @returns {Promise<Response>}
 */
export async function request(url, options) {
  const response = await fetch(url, options);
  if (!response.ok) throw new Error(`${url}: HTTP status ${response.status}`);
  return response;
}

/** Files by URL, each requested once. A failed request is forgotten, so that the next call tries again. */
export class FileCache {
  /** @type {Map<string, Promise<any>>} */
  #files = new Map();

  /**
   * @template T
   * @param {string | URL} url
   * @param {(response: Response) => T | Promise<T>} read
   * @returns {Promise<T>}
   */
  get(url, read) {
    const key = String(url);
    let file = this.#files.get(key);
    if (!file) {
      file = request(url).then(read);
      file.catch(() => this.#files.delete(key));
      this.#files.set(key, file);
    }
    return file;
  }
}

const INDEX = globalThis.document?.querySelector('form[data-catalog-search][action$="index.html"]') ? "index.html" : "";

/**
 * The URL of a page of the site by its address, which ends in "/": of its file where the site has no directory URLs.
 * @param {string} address
 * @returns {string}
 */
export function pageUrl(address) {
  return new URL(address.endsWith("/") ? address + INDEX : address, new URL("../../", import.meta.url)).href;
}
