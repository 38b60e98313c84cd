// Elements. Names and descriptions come from other people's records: they are text, never markup.

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {string} [className]
 * @param {string} [text]
 * @returns {HTMLElementTagNameMap[T]}
 */
export function element(tag, className = "", text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

/**
 * @param {string} className
 * @param {string} text
 * @param {string} [label] for screen readers, if the text is not enough
 * @returns {HTMLButtonElement}
 */
export function button(className, text, label = "") {
  const made = element("button", className, text);
  made.type = "button";
  if (label) made.setAttribute("aria-label", label);
  return made;
}

/**
 * @template {Element} T
 * @param {T} target
 * @param {Record<string, string | number>} attributes
 * @returns {T}
 */
export function withAttributes(target, attributes) {
  for (const [name, value] of Object.entries(attributes)) target.setAttribute(name, String(value));
  return target;
}

/**
 * The first descendant that matches a selector; an error if the page has none.
 * @template {HTMLElement} [T=HTMLElement]
 * @param {ParentNode} root
 * @param {string} selector
 * @returns {T}
 */
export function find(root, selector) {
  const found = root.querySelector(selector);
  if (!found) throw new Error(`the page has no ${selector}`);
  return /** @type {T} */ (found);
}

/**
 * The element of an event's target that matches a selector.
 * @param {Event} event
 * @param {string} selector
 * @returns {HTMLElement | null}
 */
export function closest(event, selector) {
  return event.target instanceof Element ? event.target.closest(selector) : null;
}

/**
 * Mark an element as started by its script; false if it already was (instant navigation starts scripts again).
 * @param {HTMLElement} target
 * @returns {boolean}
 */
export function claim(target) {
  if (target.dataset.live) return false;
  target.dataset.live = "yes";
  return true;
}
