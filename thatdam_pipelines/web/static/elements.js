// Elements made in scripts. Text is always text: nothing from the library is ever parsed as HTML.

export const $ = (selector, within = document) => within.querySelector(selector);
export const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];

export function make(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key === "dataset") Object.assign(element.dataset, value);
    else if (key in element) element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

// Whether a key press is meant for what is typed in, or for the browser.
export function isTyping(event) {
  const field = event.target.closest?.("textarea, select, input:not([type=checkbox], [type=radio])");
  return Boolean(field) || event.ctrlKey || event.metaKey || event.altKey || event.isComposing;
}
