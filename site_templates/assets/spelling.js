// A word that nothing has, set right: the word of a name, publisher, schema or tag that is one slip away, two where it
// is long. The words lie in small files by their first and their second letter (catalog/site/spelling.py).

import { short } from "./table.js";

const SHORTEST = 4;
const LONG = 8;
const LONGEST = 40;

const files = new Map();

function bucket(place, letter, root) {
  const path = `catalog/words/${place}${/^[a-z0-9]$/.test(letter ?? "") ? letter : "_"}.json`;
  if (!files.has(path)) {
    const coming = fetch(new URL(path, root)).then((answer) => (answer.ok ? answer.json() : Promise.reject(new Error(String(answer.status)))))
      .then(({ words, counts }) => {
        const totals = short(counts);
        return words ? words.split(" ").map((known, place) => ({ known, total: totals[place] })) : [];
      });
    coming.catch(() => files.delete(path));
    files.set(path, coming);
  }
  return files.get(path);
}

/** The word that was meant, or null where none is near. */
export async function meant(typed, root) {
  const word = [...typed.toLowerCase()];
  if (word.length < SHORTEST || word.length > LONGEST) return null;
  const most = word.length >= LONG ? 2 : 1;
  const lists = await Promise.all([bucket(1, word[0], root), bucket(2, word[1], root), bucket(1, word[1], root), bucket(2, word[0], root)]);
  let best = null;
  for (const { known, total } of lists.flat()) {
    const steps = distance(word, [...known], most);
    if (steps === 0) return null; // it is a word; that it finds nothing has another cause
    if (steps > most) continue;
    const nearer = !best || steps < best.steps || (steps === best.steps && (total > best.total || (total === best.total && known < best.known)));
    if (nearer) best = { known, total, steps };
  }
  return best?.known ?? null;
}

/** Letters to change, leave out, put in, or swap with their neighbour; more than `most` is `most + 1`. */
export function distance(a, b, most) {
  if (Math.abs(a.length - b.length) > most) return most + 1;
  let before = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    let low = i;
    for (let j = 1; j <= b.length; j++) {
      let cost = Math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) cost = Math.min(cost, before[j - 2] + 1);
      row.push(cost);
      low = Math.min(low, cost);
    }
    if (low > most && Math.min(...last) > most) return most + 1;
    before = last;
    last = row;
  }
  return Math.min(last[b.length], most + 1);
}
