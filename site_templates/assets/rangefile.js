// Parts of a remote file by HTTP ranges. The file is another party's: each answer is bounded, whatever the server sends.

export const MAX_WHOLE = 20_000_000; // bytes of a file that is read whole, as its server ignores ranges
const MAX_PART = 64_000_000;
const MAX_MILLISECONDS = 30_000;

/** An error whose message is for the reader of the page. */
export class ReadError extends Error {}

/** A file at a URL. */
export class RangeFile {
  /** @type {Uint8Array | null} */
  #whole = null;
  /** @type {number | null} */
  #size = null;

  /** @param {string} url */
  constructor(url) {
    this.url = url;
    this.host = new URL(url).host;
    /** Bytes and requests since the page was loaded. */
    this.bytes = 0;
    this.requests = 0;
  }

  /**
   * The bytes from start to end; fewer at the end of the file.
   * @param {number} start
   * @param {number} end
   * @returns {Promise<Uint8Array>}
   */
  async read(start, end) {
    if (this.#whole) return this.#whole.subarray(start, end);
    if (!(start >= 0 && end > start && end - start <= MAX_PART)) throw new ReadError(`${end - start} bytes can’t be read at once.`);
    // Chromium sends requests for one URL one after another if it may store the answers.
    const response = await this.#request({ headers: { Range: `bytes=${start}-${end - 1}` } });
    if (response.status === 416) return new Uint8Array(0);
    if (response.status === 206) {
      const range = /^bytes (\d+)-\d+\/(\d+)$/.exec(response.headers.get("Content-Range") ?? "");
      if (range && Number(range[1]) !== start) throw new ReadError(`${this.host} sent another part of the file than was requested.`);
      if (range) this.#size = Number(range[2]);
      return (await this.#body(response, end - start)).subarray(0, end - start);
    }
    if (Number(response.headers.get("Content-Length") ?? 0) > MAX_WHOLE) {
      response.body?.cancel();
      throw this.#noRanges();
    }
    const whole = await this.#body(response, MAX_WHOLE + 1);
    if (whole.length > MAX_WHOLE) throw this.#noRanges();
    this.#whole = whole;
    this.#size = whole.length;
    return whole.subarray(start, end);
  }

  /**
   * The number of bytes of the file; null if its server doesn’t say.
   * @returns {Promise<number | null>}
   */
  async size() {
    if (this.#size === null) {
      const length = (await this.#request({ method: "HEAD" })).headers.get("Content-Length");
      this.#size = length === null || !/^\d{1,15}$/.test(length) ? null : Number(length);
    }
    return this.#size;
  }

  /**
   * @param {RequestInit} options
   * @returns {Promise<Response>}
   */
  async #request(options) {
    this.requests += 1;
    /** @type {Response} */
    let response;
    try {
      response = await fetch(this.url, {
        ...options, cache: "no-store", credentials: "omit", referrerPolicy: "no-referrer", signal: AbortSignal.timeout(MAX_MILLISECONDS),
      });
    } catch (error) {
      if (error instanceof DOMException && error.name === "TimeoutError") throw new ReadError(`${this.host} didn’t answer in time.`);
      if (location.protocol === "https:" && this.url.startsWith("http:")) {
        throw new ReadError(`The files are at an http address, which browsers don’t read from a page at https. Their publisher can serve them by https.`);
      }
      throw new ReadError(`${this.host} can’t be reached, or doesn’t let other sites read its files. Its owner can allow it with the header Access-Control-Allow-Origin. A policy of this site (connect-src) may also forbid it.`);
    }
    if (!response.ok && response.status !== 416) throw new ReadError(`${this.host} answers with HTTP status ${response.status}.`);
    return response;
  }

  /**
   * The first bytes of a body, at most most.
   * @param {Response} response
   * @param {number} most
   * @returns {Promise<Uint8Array>}
   */
  async #body(response, most) {
    const reader = response.body?.getReader();
    /** @type {Uint8Array[]} */
    const parts = [];
    let length = 0;
    try {
      while (reader && length < most) {
        const { done, value } = await reader.read();
        if (done) break;
        parts.push(value);
        length += value.length;
      }
    } catch {
      throw new ReadError(`The connection to ${this.host} broke off.`);
    }
    if (length >= most) reader?.cancel().catch(() => {});
    this.bytes += length;
    const body = new Uint8Array(length);
    let at = 0;
    for (const part of parts) {
      body.set(part, at);
      at += part.length;
    }
    return body;
  }

  #noRanges() {
    return new ReadError(`${this.host} sends only whole files, and this one has more than ${MAX_WHOLE / 1e6} MB. The samples can be read from a server that supports HTTP ranges.`);
  }
}
