// Word forms and synonyms, as in catalog/store/wordforms.py and synonyms.py; a test compares the tables.

import { gramSize } from "./tokenizer.js";

export const IRREGULAR =
  "alga algae|analysis analyses|appendix appendices|axis axes|bacterium bacteria|basis bases|calf calves"
  + "|child children|corpus corpora|crisis crises|criterion criteria|datum data|diagnosis diagnoses|elf elves"
  + "|foot feet|formula formulae|fungus fungi|genus genera|goose geese|gray grey|half halves|hoof hooves"
  + "|hypothesis hypotheses|index indices|knife knives|larva larvae|leaf leaves|life lives|loaf loaves|louse lice"
  + "|man men|math maths mathematics|matrix matrices|medium media|mouse mice|nebula nebulae|nucleus nuclei|ox oxen"
  + "|person people|phenomenon phenomena|plow plough|program programme|radius radii|scarf scarves|self selves"
  + "|sheaf sheaves|shelf shelves|spectrum spectra|stimulus stimuli|stratum strata|sulfur sulphur"
  + "|synthesis syntheses|taxon taxa|thesis theses|thief thieves|tire tyre|tooth teeth|vertebra vertebrae"
  + "|vertex vertices|wife wives|wolf wolves|woman women";
const FORMS = IRREGULAR.split("|").map((group) => group.split(" "));
const BASE = new Map(FORMS.flatMap((group) => group.map((form) => /** @type {[string, string]} */ ([form, group[0]]))));
export const SYNONYMS = `
asr|automatic speech recognition|speech recognition|speech to text
tts|text to speech|speech synthesis
ner|named entity recognition
nli|natural language inference|textual entailment|rte
mt|nmt|machine translation|parallel corpus|parallel text|bitext
qa|question answering
vqa|visual question answering
pos tagging|part of speech tagging|pos
ocr|optical character recognition|text recognition
nlp|natural language processing
ir|information retrieval
llm|large language model
rl|reinforcement learning
slu|spoken language understanding
sentiment analysis|opinion mining
toxicity|hate speech|offensive language|abusive language
summarization|summary
dialogue|conversation
paraphrase|semantic similarity
remote sensing|satellite imagery|satellite image|earth observation
aerial imagery|aerial photography|orthophoto
sar|synthetic aperture radar
lidar|laser scanning|point cloud
rgbd|depth image|depth map|depth camera
pose estimation|keypoint detection
face|facial
landmark|keypoint
autonomous driving|self driving|autonomous vehicle
robot|robotic
xray|x ray|radiography|radiograph
mri|magnetic resonance imaging
fmri|functional magnetic resonance imaging
ct|computed tomography
ultrasound|ultrasonography|sonography
eeg|electroencephalography|electroencephalogram
ecg|ekg|electrocardiography|electrocardiogram
emg|electromyography
medical|biomedical|clinical
medical imaging|radiology
tumor|neoplasm|cancer|carcinoma
histopathology|histology
covid|covid19|coronavirus|sars cov 2
genome|genomic
weather|meteorology|meteorological
earthquake|seismic|seismology
ocean|marine|oceanography
bird|avian
handwriting|handwritten
tweet|twitter
email|e mail
audio|sound
math|arithmetic
time series|timeseries
multilingual|cross lingual
commonsense|common sense
person re identification|reid
`;
/** @type {[RegExp, string][]} */
const RULES = [
  [/(?<=..)is(e|es|ed|er|ers|ing|ation|ations|able)$/, "iz$1"],
  [/(?<=..)ys(e|es|ed|er|ers|ing)$/, "yz$1"],
  [/(?<=...)our(s|ed|ing|al|ful|less|able|)$/, "or$1"],
  [/(?<=[bt])re(s|d|)$/, "er$1"],
  [/(?<=..)ogue(s|d|)$/, "og$1"],
  [/^(an|p|h|f|c)?ae(?=[a-z]{3})/, "$1e"],
  [/oe(?=[dst][a-z]{3})/, "e"],
];
const SHORTEST = 3;
const LONGEST_ENDING = 3;
const STARTS = /^(?:gener|commun|arsen|past|univers|later|emerg|organ|inter)/;
const DOUBLE = /(?:bb|dd|ff|gg|mm|nn|pp|rr|tt)$/;
const SHORT_END = /(?:[^aeiouy][aeiouy][^aeiouwxyY]|^[aeiouy][^aeiouy]|^past)$/;
/** @type {Record<string, string>} */
const SPECIAL = {
  skis: "ski", skies: "sky", idly: "idl", gently: "gentl", ugly: "ugli", early: "earli", only: "onli", singly: "singl",
  sky: "sky", news: "news", howe: "howe", atlas: "atlas", cosmos: "cosmos", bias: "bias", andes: "andes",
};
const AFTER_PLURAL = new Set("inning outing canning herring earring evening proceed exceed succeed".split(" "));
/** @type {Record<string, string>} */
const STEP_2 = {
  ization: "ize", ational: "ate", fulness: "ful", ousness: "ous", iveness: "ive", tional: "tion", biliti: "ble",
  lessli: "less", entli: "ent", ation: "ate", alism: "al", aliti: "al", ousli: "ous", iviti: "ive", fulli: "ful",
  ogist: "og", enci: "ence", anci: "ance", abli: "able", izer: "ize", ator: "ate", alli: "al", bli: "ble", ogi: "og",
  li: "",
};
/** @type {Record<string, string>} */
const STEP_3 = {
  ational: "ate", tional: "tion", alize: "al", icate: "ic", iciti: "ic", ative: "", ical: "ic", ness: "", ful: "",
};
const STEP_4 = /(?:ement|ance|ence|able|ible|ment|ant|ent|ism|ate|iti|ous|ive|ize|al|er|ic|(?<=[st])ion)$/;
/** @type {Map<string, string>} */
const stems = new Map();
/** @type {Map<string, string[][]> | undefined} */
let table;

/**
 * Return true if two terms are forms of one word.
 * @param {string} word
 * @param {string} other
 * @returns {boolean}
 */
export function isForm(word, other) {
  if (isEnglish(word)) return isEnglish(other) && stem(word) === stem(other);
  if (isAscii(word) || isAscii(other) || gramSize(word)) return false;
  const [one, two] = [[...word], [...other]];
  const longest = Math.max(one.length, two.length);
  let same = 0;
  while (same < one.length && same < two.length && one[same] === two[same]) same++;
  const ending = same === Math.min(one.length, two.length) ? LONGEST_ENDING : LONGEST_ENDING - 1;
  return same >= Math.max(SHORTEST, Math.ceil((3 * longest) / 5)) && longest - same <= ending;
}

/**
 * The beginnings of the terms that may be forms of a word, of two characters or more; none for a number.
 * @param {string} word
 * @returns {string[]}
 */
export function formStarts(word) {
  const letters = [...word];
  if (letters.length < SHORTEST || (isAscii(word) && !isEnglish(word))) return [];
  if (!isAscii(word)) return [letters.slice(0, Math.max(2, Math.ceil((3 * letters.length) / 5))).join("")];
  const group = FORMS.find((forms) => forms.includes(word)) ?? [];
  const starts = [...new Set([word, stem(word), ...group].map(startOf))];
  return starts.filter((start) => !starts.some((other) => other !== start && start.startsWith(other))).sort();
}

/**
 * What a word has in common with its stem, without an end that differs in other forms or spellings.
 * @param {string} word
 * @returns {string}
 */
function startOf(word) {
  const base = stem(word);
  let same = 0;
  while (same < word.length && same < base.length && word[same] === base[same]) same++;
  return same >= SHORTEST
    ? word.slice(0, same).replace(/(?<=..)[eiy]$|(?<=....)(?:er?|[rsz])$/, "")
    : word.slice(0, Math.max(SHORTEST, word.length - SHORTEST));
}

/**
 * Other spellings of a word: "gebaeude" for "gebaude", as German is typed without umlauts.
 * @param {string} word
 * @returns {string[]}
 */
export function spellings(word) {
  const plain = word.replace(/(?<=[a-z])([aou])e/g, "$1");
  return plain === word ? [] : [plain];
}

/**
 * The other phrases of the groups that have this phrase, in any of its forms.
 * @param {string[]} words
 * @returns {string[][]}
 */
export function synonyms(words) {
  table ??= synonymTable();
  return table.get(stemsOf(words)) ?? [];
}

/**
 * @returns {Map<string, string[][]>}
 */
function synonymTable() {
  /** @type {Map<string, string[][]>} */
  const found = new Map();
  for (const line of SYNONYMS.trim().split("\n")) {
    const group = line.split("|").map((phrase) => phrase.split(" "));
    for (const key of new Set(group.map(stemsOf))) {
      found.set(key, [...(found.get(key) ?? []), ...group.filter((other) => stemsOf(other) !== key)]);
    }
  }
  return found;
}

/**
 * @param {string[]} words
 * @returns {string}
 */
function stemsOf(words) {
  return words.map((word) => (isEnglish(word) ? stem(word) : word)).join(" ");
}

/**
 * @param {string} text
 * @returns {boolean}
 */
function isEnglish(text) {
  return /^[a-z]+$/.test(text);
}

/**
 * @param {string} text
 * @returns {boolean}
 */
function isAscii(text) {
  // eslint-disable-next-line no-control-regex
  return /^[\x00-\x7f]*$/.test(text);
}

/**
 * The English stem of a word in lower-case ASCII letters.
 * @param {string} word
 * @returns {string}
 */
export function stem(word) {
  let found = stems.get(word);
  if (found === undefined) {
    const plain = RULES.reduce((text, [pattern, by]) => text.replace(pattern, by), BASE.get(word) ?? word);
    found = snowball(BASE.get(plain) ?? plain);
    stems.set(word, found);
  }
  return found;
}

/**
 * @param {string} word
 * @returns {string}
 */
function snowball(word) {
  if (word.length < SHORTEST || Object.hasOwn(SPECIAL, word)) return SPECIAL[word] ?? word;
  const marked = word.replace(/(?<=[aeiouy])y|^y/g, "Y");
  const r1 = STARTS.exec(marked)?.[0].length ?? regionAfter(marked, 0);
  const r2 = regionAfter(marked, r1);
  let found = plural(marked);
  if (AFTER_PLURAL.has(found)) return found;
  found = past(found, r1);
  if (found.length > 2) found = found.replace(/(?<=[^aeiouy])[yY]$/, "i");
  return suffixes(found, r1, r2).replaceAll("Y", "y");
}

/**
 * @param {string} word
 * @param {number} start
 * @returns {number}
 */
function regionAfter(word, start) {
  const match = /[aeiouy][^aeiouy]/.exec(word.slice(start));
  return match ? start + match.index + 2 : word.length;
}

/**
 * Step 1a.
 * @param {string} word
 * @returns {string}
 */
function plural(word) {
  if (word.endsWith("sses")) return word.slice(0, -2);
  if (/(?:ied|ies)$/.test(word)) return word.slice(0, word.length > 4 ? -2 : -1);
  return word.endsWith("s") && !/(?:us|ss)$/.test(word) && /[aeiouy]/.test(word.slice(0, -2)) ? word.slice(0, -1) : word;
}

/**
 * Step 1b.
 * @param {string} word
 * @param {number} r1
 * @returns {string}
 */
function past(word, r1) {
  const eed = /eed(?:ly)?$/.exec(word);
  if (eed) return eed.index >= r1 ? `${word.slice(0, eed.index)}ee` : word;
  const ending = /(?:ed|ing)(?:ly)?$/.exec(word);
  if (!ending || !/[aeiouy]/.test(word.slice(0, ending.index))) return word;
  const base = word.slice(0, ending.index);
  if (ending[0].startsWith("ing") && /^[^aeiouy]y$/.test(base)) return `${base[0]}ie`;
  if (/(?:at|bl|iz)$/.test(base)) return `${base}e`;
  if (DOUBLE.test(base)) return /^[aeo](?:bb|dd|ff|gg|mm|nn|pp|rr|tt)$/.test(base) ? base : base.slice(0, -1);
  return base.length <= r1 && SHORT_END.test(base) ? `${base}e` : base;
}

/**
 * Steps 2 to 5.
 * @param {string} word
 * @param {number} r1
 * @param {number} r2
 * @returns {string}
 */
function suffixes(word, r1, r2) {
  let found = replaced(replaced(word, STEP_2, r1, r2), STEP_3, r1, r2);
  const ending = STEP_4.exec(found);
  if (ending && ending.index >= r2) found = found.slice(0, ending.index);
  const place = found.length - 1;
  if (found.endsWith("e")) return place >= r2 || (place >= r1 && !SHORT_END.test(found.slice(0, -1))) ? found.slice(0, -1) : found;
  return found.endsWith("ll") && place >= r2 ? found.slice(0, -1) : found;
}

/**
 * Replace the longest ending of a table, if it is in its region.
 * @param {string} word
 * @param {Record<string, string>} endings
 * @param {number} r1
 * @param {number} r2
 * @returns {string}
 */
function replaced(word, endings, r1, r2) {
  const ending = Object.keys(endings).find((each) => word.endsWith(each));
  if (ending === undefined || word.length - ending.length < (ending === "ative" ? r2 : r1)) return word;
  const base = word.slice(0, word.length - ending.length);
  if ((ending === "li" && !/[cdeghkmnrt]$/.test(base)) || (ending === "ogi" && !base.endsWith("l"))) return word;
  return base + endings[ending];
}
