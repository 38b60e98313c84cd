// The groups of the browse page: words to tick, with counts; long ones are cut short, and have a field to find a word.

const FEW = 8;
const MANY = 12; // from here on a group has a field
const MOST = 100;

/** The groups of `facets`, triples of name, title and column, put into `box`. `toggle(facet, word)` is called when a word
    is ticked, `opened()` when a group is opened. */
export function makeFacets(box, facets, { toggle, opened, closed }) {
  const groups = facets.map(([name, title, { words }]) => new Group(name, title, words, { toggle, opened, closed: closed(name) }));
  box.replaceChildren(...groups.map((group) => group.element));
  return {
    /** Counts by facet; those of a facet that isn't counted now are left away. */
    show(counts, chosen) { for (const group of groups) group.show(counts[group.name], chosen[group.name]); },
    open: () => groups.filter((group) => group.open).map((group) => group.name),
  };
}

class Group {
  constructor(name, title, words, { toggle, opened, closed }) {
    Object.assign(this, { name, words, toggle, choices: new Map(), all: false, sought: "", known: new Map(words.map((word, number) => [word, number])) });
    const long = words.length > MANY;
    this.element = document.createElement("details");
    this.element.className = "cat-facet";
    this.element.open = !closed;
    const summary = document.createElement("summary");
    summary.append(span(title));
    if (long) summary.append(span(words.length.toLocaleString("en"), "cat-quiet"));
    this.set = document.createElement("fieldset");
    const legend = document.createElement("legend");
    legend.className = "cat-hidden";
    legend.textContent = title;
    this.set.append(legend);
    if (long) this.set.append(this.field(title));
    this.list = document.createElement("div");
    this.more = document.createElement("button");
    this.more.type = "button";
    this.more.addEventListener("click", () => {
      const first = this.list.querySelectorAll("input").length;
      this.all = true;
      this.fill();
      this.list.querySelectorAll("input")[first]?.focus();
    });
    this.set.append(this.list, this.more);
    this.element.append(summary, this.set);
    this.element.addEventListener("toggle", () => { if (this.element.open && this.chosen && !this.counts) opened(); });
  }

  get open() { return this.element.open; }

  field(title) {
    const field = document.createElement("input");
    Object.assign(field, { type: "search", className: "cat-field", placeholder: `Find in ${title.toLowerCase()}`, autocomplete: "off", maxLength: 200 });
    field.setAttribute("aria-label", `Find in ${title.toLowerCase()}`);
    field.addEventListener("input", (event) => {
      event.stopPropagation();
      this.sought = field.value.trim().toLowerCase();
      this.fill();
    });
    field.addEventListener("keydown", (event) => { if (event.key === "Enter") event.preventDefault(); });
    return field;
  }

  show(counts, chosen) {
    this.counts = counts;
    this.chosen = chosen;
    this.fill();
  }

  /** The words to show, the most frequent first (words with an order of their own in it), chosen ones always. */
  fill() {
    const { words, counts, chosen, sought } = this;
    let numbers = words.map((_, number) => number);
    if (counts) numbers = numbers.filter((number) => counts[number] > 0);
    if (counts && !["size", "state", "updated"].includes(this.name)) numbers.sort((a, b) => counts[b] - counts[a] || a - b);
    if (sought) numbers = numbers.filter((number) => words[number].toLowerCase().includes(sought));
    const most = this.all || sought ? MOST : FEW;
    const shown = numbers.slice(0, most).map((number) => words[number]);
    const missing = [...chosen].filter((word) => !shown.includes(word));
    const held = document.activeElement;
    const inside = this.element.contains(held);
    this.list.replaceChildren(...[...missing, ...shown].map((word) => this.choice(word)));
    if (!this.list.childElementCount) this.list.append(span("none", "cat-quiet"));
    const left = numbers.length - shown.length;
    this.more.hidden = left === 0 || most === MOST;
    this.more.textContent = `${left.toLocaleString("en")} more`;
    // What had the focus stays where it is; what is gone gives it to its group.
    if (inside && (held !== document.activeElement || (held === this.more && this.more.hidden)))
      (this.list.contains(held) ? held : this.element.querySelector("summary")).focus();
    this.element.hidden = words.length === 0 && chosen.size === 0;
  }

  /** The line of a word: the same element each time, so that the focus stays where it is. */
  choice(word) {
    let label = this.choices.get(word);
    if (!label) {
      label = document.createElement("label");
      const box = Object.assign(document.createElement("input"), { type: "checkbox", autocomplete: "off" });
      box.addEventListener("change", () => this.toggle(this.name, word));
      label.append(box, span(word, "cat-user"), span(""));
      this.choices.set(word, label);
    }
    const [box, , count] = label.children;
    box.checked = this.chosen.has(word);
    const number = this.known.get(word);
    count.textContent = this.counts ? (number === undefined ? 0 : this.counts[number]).toLocaleString("en") : "";
    return label;
  }
}

function span(text, name = "") {
  const element = document.createElement("span");
  if (name) element.className = name;
  element.textContent = text;
  return element;
}
