// The records of the browse page as columns, and what is shown of a row in chunks. Every file: catalog/site/facets.py.

const DIGITS = Uint8Array.from({ length: 128 }, (_, code) => (code > 92 ? code - 36 : code - 35));
const BASE = 91;
const LAST = 60;
const YEARS = 24; // more months than this are offered as years

export async function loadTable(root) {
  // Asked for anew each time: a cached one would not fit the files of a newer build.
  const answer = await fetch(new URL("catalog/facets.json", root), { cache: "no-cache" });
  if (!answer.ok) throw new Error(String(answer.status));
  return new Table(await answer.json(), root);
}

/** Numbers whose last digit is below 60, the lowest digit first. */
export function short(text) {
  const found = new Uint32Array(text.length);
  let end = 0;
  let value = 0;
  let weight = 1;
  for (let i = 0; i < text.length; i++) {
    const digit = DIGITS[text.charCodeAt(i)];
    if (digit < LAST) {
      found[end++] = value + digit * weight;
      value = 0;
      weight = 1;
    } else {
      value += (digit - LAST) * weight + LAST * weight;
      weight *= BASE - LAST;
    }
  }
  return found.subarray(0, end);
}

/** Numbers from a text for each of their digits, the lowest first. */
export function digits(texts) {
  const found = new Uint32Array(texts[0].length);
  for (const text of [...texts].reverse()) {
    for (let i = 0; i < found.length; i++) found[i] = found[i] * BASE + DIGITS[text.charCodeAt(i)];
  }
  return found;
}

/** A column: the words of a row are `numbers[starts[row]]` to `numbers[starts[row + 1]]`, without the last. */
function single(text) {
  const given = short(text);
  const starts = new Uint32Array(given.length + 1);
  const dense = new Uint32Array(given.length);
  let end = 0;
  given.forEach((number, row) => {
    if (number) dense[end++] = number - 1;
    starts[row + 1] = end;
  });
  return { starts, numbers: dense.subarray(0, end) };
}

function several({ counts, steps }) {
  const each = short(counts);
  const places = Object.fromEntries(Object.entries(steps).map(([many, texts]) => [many, texts.map(short)]));
  const met = new Uint32Array(each.reduce((most, many) => Math.max(most, many), 0) + 1);
  const starts = new Uint32Array(each.length + 1);
  const all = new Uint32Array(each.reduce((sum, many) => sum + many, 0));
  each.forEach((many, row) => {
    let number = -1;
    for (let place = 0; place < many; place++) all[starts[row] + place] = number += places[many][place][met[many]] + 1;
    met[many]++;
    starts[row + 1] = starts[row] + many;
  });
  return { starts, numbers: all };
}

/** What a column's words say: a dataset has the array types of its schema. */
function spread(said, by) {
  const starts = new Uint32Array(by.starts.length);
  const found = [];
  for (let row = 0; row < by.starts.length - 1; row++) {
    for (let i = by.starts[row]; i < by.starts[row + 1]; i++) {
      for (let k = said.starts[by.numbers[i]]; k < said.starts[by.numbers[i] + 1]; k++) found.push(said.numbers[k]);
    }
    starts[row + 1] = found.length;
  }
  return { starts, numbers: Uint32Array.from(found) };
}

class Table {
  constructor(data, root) {
    const { length, chunk, sections, version } = data;
    Object.assign(this, { length, chunk, sections, version, root, files: new Map(), arrived: new Map() });
    this.facets = Object.fromEntries(Object.entries(data.facets).map(([name, { words, totals, column }]) => [name, { words, totals: short(totals), given: column }]));
    const { updated } = this.facets;
    this.facets.updated = updated.words.length > YEARS ? inYears(updated) : updated;
    this.months = updated;
  }

  /** A file of this build, once; one that didn't come is asked for again the next time. */
  file(path) {
    if (!this.files.has(path)) {
      const coming = fetch(new URL(`catalog/${path}.json?v=${this.version}`, this.root))
        .then((answer) => (answer.ok ? answer.json() : Promise.reject(new Error(String(answer.status)))));
      coming.catch(() => this.files.delete(path));
      this.files.set(path, coming);
    }
    return this.files.get(path);
  }

  /** See to it that these facets can be counted and chosen from. */
  need(names) {
    return Promise.all(names.map((name) => this.#column(name)));
  }

  async #column(name) {
    const facet = this.facets[name];
    if (facet.starts) return facet;
    if (facet.months) {
      const { starts, numbers } = await this.#ready(this.months, name);
      return Object.assign(facet, { starts, numbers: numbers.map((number) => facet.months[number]) });
    }
    return this.#ready(facet, name);
  }

  async #ready(facet, name) {
    if (facet.starts) return facet;
    const given = facet.given ?? await this.file(`columns/${name}`);
    let found;
    if (given.of) found = spread(several(given.says), await this.#column(given.of));
    else found = typeof given === "string" ? single(given) : several(given);
    return Object.assign(facet, found, { given: null });
  }

  /** The rows that fit all choices, and for each of the facets `counted` how many rows each of its words would leave.
      What is chosen and counted must be here (`need`). `only` are rows, or null for all. */
  filter(chosen, only, counted) {
    const tests = Object.keys(chosen).filter((name) => chosen[name].size).map((name) => ({ name, fits: this.#test(name, chosen[name]) }));
    const columns = counted.map((name) => this.facets[name]);
    const counts = columns.map(({ words }) => new Uint32Array(words.length));
    const own = tests.map(({ name }) => (name === "tag" ? -1 : counted.indexOf(name)));
    const list = [];
    const count = (row, c) => {
      const { starts, numbers } = columns[c];
      for (let i = starts[row]; i < starts[row + 1]; i++) counts[c][numbers[i]]++;
    };
    for (let row = 0; row < this.length; row++) {
      if (only && !only.has(row)) continue;
      // A facet's own choice doesn't lessen its other counts: choices within one facet add up, except for tags.
      let missed = -1;
      let misses = 0;
      for (let t = 0; t < tests.length && misses < 2; t++) if (!tests[t].fits(row)) { missed = t; misses++; }
      if (misses === 0) {
        list.push(row);
        for (let c = 0; c < columns.length; c++) count(row, c);
      } else if (misses === 1 && own[missed] >= 0) count(row, own[missed]);
    }
    return { rows: list, counts: Object.fromEntries(counted.map((name, c) => [name, counts[c]])) };
  }

  /** Whether a row fits what is chosen in a facet. */
  #test(name, chosen) {
    const words = [...chosen];
    const { starts, numbers, words: known } = name === "updated" && words.some((word) => word.length > 4) ? this.months : this.facets[name];
    const meant = words.map((word) => {
      const more = { schema: `${word} · `, updated: `${word}-` }[name];
      return known.flatMap((other, number) => (other === word || (more && other.startsWith(more)) ? [number] : []));
    });
    const has = (row, wanted) => {
      for (let i = starts[row]; i < starts[row + 1]; i++) if (wanted[numbers[i]]) return true;
      return false;
    };
    const marks = (name === "tag" ? meant : [meant.flat()]).map((wanted) => {
      const marked = new Uint8Array(known.length);
      wanted.forEach((number) => { marked[number] = 1; });
      return marked;
    });
    return (row) => marks.every((wanted) => has(row, wanted));
  }

  /** All rows by name, size, samples or updated. */
  async order(name) {
    let row = -1;
    return digits(await this.file(`orders/${name}`)).map((step) => { row = (row + step) % this.length; return row; });
  }

  /** What is shown of a row, where its chunk is here already. */
  known(row) {
    const chunk = this.arrived.get(Math.floor(row / this.chunk));
    return chunk && this.#shown(chunk, row % this.chunk);
  }

  async detail(row) {
    const number = Math.floor(row / this.chunk);
    const chunk = await this.file(`rows/${number}`);
    this.arrived.set(number, chunk);
    return this.#shown(chunk, row % this.chunk);
  }

  /** The names of all rows. */
  async names() {
    const chunks = await Promise.all(Array.from({ length: Math.ceil(this.length / this.chunk) }, (_, number) => this.file(`rows/${number}`)));
    return chunks.flatMap((chunk) => chunk.name);
  }

  #shown(chunk, place) {
    const word = (facet) => this.facets[facet].words[chunk[facet][place]] ?? "";
    const section = this.sections[chunk.kind[place]];
    return {
      name: chunk.name[place], bytes: chunk.bytes[place], samples: chunk.samples[place], day: chunk.day[place],
      address: `${section}/${chunk.folders[chunk.folder[place]]}/${chunk.place[place]}/`,
      kind: word("kind"), publisher: word("publisher"), licence: word("licence"), schema: word("schema"), state: word("state"),
      ends: chunk.ends?.[place] ?? "",
      tags: chunk.tag[place].map((number) => this.facets.tag.words[number]),
    };
  }
}

/** Months as years, where there are many. */
function inYears({ words: months, totals }) {
  const words = [...new Set(months.map((month) => month.slice(0, 4)))];
  const numbers = months.map((month) => words.indexOf(month.slice(0, 4)));
  const sums = new Uint32Array(words.length);
  numbers.forEach((number, month) => { sums[number] += totals[month]; });
  return { words, totals: sums, months: numbers };
}
