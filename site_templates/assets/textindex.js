// The text index: words, and the rows that have them. The files: catalog/site/textindex.py, whose words and buckets
// these are. A question fetches the index once, a file of words for each of its words, and a few shards of rows.

const WEIGHTS = [10, 4, 1]; // of a word in a name; in tags, schema, fields, publisher; in a description
const PREFIX = 0.6; // what the beginning of a word counts against the whole
const MOST_WORDS = 8;
const EXPANSIONS = 24;
const MORE_SHARDS = 3; // that are fetched for words which only begin like the one asked for
const LONGEST = 32;
const UNSPACED = /[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\u1100-\u11ff\uac00-\ud7af]/;

export async function loadIndex(root) {
  // Asked for anew each time: a cached one would not fit the files of a newer build.
  const answer = await fetch(new URL("catalog/text/index.json", root), { cache: "no-cache" });
  if (!answer.ok) throw new Error(String(answer.status));
  return new Index(await answer.json(), root);
}

/** The tokens of a text, in their order: the same tokenizer as catalog/store/tokenizer.py (cases: tests/data/tokens.json). */
export function tokenize(text) {
  const folded = text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase().replaceAll("ς", "σ");
  return [...folded.matchAll(/[\p{L}\p{N}]+/gu)].flatMap(([word]) => {
    const letters = [...word].slice(0, LONGEST);
    const pairs = letters.slice(1).map((letter, place) => letters[place] + letter);
    return pairs.length && UNSPACED.test(word) ? pairs : [letters.join("")];
  });
}

/** The words of a query, each once. */
export function words(text) {
  return [...new Set(tokenize(text))].slice(0, MOST_WORDS);
}

class Index {
  constructor(data, root) {
    Object.assign(this, data, { root, files: new Map(), lists: new Map() });
  }

  /** What is found: `rows`, ascending, and of them the `best`, at most so many. Every word must be there; the last may be
      the beginning of one, and so may any that is no word by itself. */
  async search(asked, most) {
    const wanted = words(asked);
    if (!wanted.length) return { rows: new Uint32Array(), best: [] };
    const open = !/\s$/.test(asked);
    const met = new Uint8Array(this.total);
    const scores = new Float32Array(this.total);
    const all = await Promise.all(wanted.map((word, place) => this.#meant(word, open && place === wanted.length - 1)));
    all.forEach((meant, place) => {
      const own = new Float32Array(this.total);
      for (const { lists, count, weight } of meant) {
        const rare = weight * Math.log(1 + this.total / count);
        lists.forEach((list, level) => {
          const score = rare * WEIGHTS[level];
          for (let i = 0; i < list.length; i++) if (own[list[i]] < score) own[list[i]] = score;
        });
      }
      for (let row = 0; row < own.length; row++) if (own[row] && met[row] === place) { met[row]++; scores[row] += own[row]; }
    });
    let count = 0;
    for (let row = 0; row < this.total; row++) if (met[row] === wanted.length) count++;
    const rows = new Uint32Array(count);
    const best = [];
    count = 0;
    for (let row = 0; row < this.total; row++) {
      if (met[row] !== wanted.length) continue;
      rows[count++] = row;
      if (best.length < most || scores[row] > scores[best.at(-1)]) {
        let place = best.length;
        while (place > 0 && scores[best[place - 1]] < scores[row]) place--;
        best.splice(place, 0, row);
        if (best.length > most) best.pop();
      }
    }
    return { rows, best };
  }

  /** Whether any record has this word, or one that begins like it. */
  async has(word) {
    const { words: known } = await this.#bucket(word);
    return known.some((other) => other.startsWith(word));
  }

  /** The words that one of a question stands for, with their rows. */
  async #meant(word, open) {
    const found = await this.#bucket(word);
    const exact = found.words.indexOf(word);
    const places = exact < 0 ? [] : [exact];
    if ((open && [...word].length > 1) || exact < 0) {
      const more = found.words.flatMap((other, place) => (place !== exact && other.startsWith(word) ? [place] : []));
      more.sort((a, b) => found.counts[b] - found.counts[a]);
      const shards = new Set(places.map((place) => found.shards[place]));
      const most = shards.size + MORE_SHARDS;
      for (const place of more.slice(0, EXPANSIONS)) {
        if (!shards.has(found.shards[place]) && shards.size >= most) continue;
        shards.add(found.shards[place]);
        places.push(place);
      }
    }
    return Promise.all(places.map(async (place) => ({
      lists: await this.#rows(found, place), count: found.counts[place], weight: place === exact ? 1 : PREFIX,
    })));
  }

  async #bucket(word) {
    let number = 0;
    for (const sign of [...word].slice(0, 2)) number = (Math.imul(number, 31) + sign.codePointAt(0)) >>> 0;
    const file = await this.#file(`words/${number % this.buckets}.json`, "json");
    if (typeof file.words === "string") {
      file.words = file.words ? file.words.split(" ") : [];
      let shard = 0;
      file.shards = file.shards.map((step) => { shard += step; return shard; });
    }
    return file;
  }

  async #rows({ words: known, shards, starts, lengths }, place) {
    const word = known[place];
    if (!this.lists.has(word)) {
      const shard = new Uint8Array(await this.#file(`rows/${shards[place]}.bin`, "arrayBuffer"));
      this.lists.set(word, unpacked(shard.subarray(starts[place], starts[place] + lengths[place]), this.total));
    }
    return this.lists.get(word);
  }

  /** What a result shows. */
  async shownOf(row) {
    if (row >= this.rows) {
      const [name, address, summary] = this.pages[row - this.rows];
      return { name, address, kind: "page", publisher: "", tags: "", size: "", summary };
    }
    const found = await this.#file(`shown/${Math.floor(row / this.shown)}.json`, "json");
    const [name, address, kind, publisher, tags, size, summary] = found[row % this.shown];
    return { name, address, kind, publisher, tags, size, summary };
  }

  /** A file of this build, once; one that didn't come is asked for again the next time. */
  #file(path, form) {
    if (!this.files.has(path)) {
      const coming = fetch(new URL(`catalog/text/${path}?v=${this.version}`, this.root))
        .then((answer) => (answer.ok ? answer[form]() : Promise.reject(new Error(String(answer.status)))));
      coming.catch(() => this.files.delete(path));
      this.files.set(path, coming);
    }
    return this.files.get(path);
  }
}

/** Three lists of rows: steps of seven bits a byte, or a bit for each row. */
function unpacked(bytes, total) {
  let at = 0;
  const number = () => {
    let value = 0;
    let weight = 1;
    for (;;) {
      const byte = bytes[at++];
      value += (byte & 127) * weight;
      if (byte < 128) return value;
      weight *= 128;
    }
  };
  return [0, 1, 2].map(() => {
    const head = number();
    const list = new Uint32Array(head >> 1);
    if (head & 1) {
      let place = 0;
      for (let row = 0; row < total; row++) if (bytes[at + (row >> 3)] >> (row & 7) & 1) list[place++] = row;
      at += Math.ceil(total / 8);
    } else {
      let row = 0;
      for (let i = 0; i < list.length; i++) list[i] = row += number();
    }
    return list;
  });
}
