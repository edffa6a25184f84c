// A grid of cards that the arrows walk and that grows at its end.

import { $$ } from "./elements.js";
import { card } from "./card.js";

export class Grid {
  #list;
  #more = null;
  #loading = false;
  #sees = false;

  // onTrouble(error): more could not be had. decorate(element): adds to a card; onGrow(items): these were added.
  constructor(list, sentinel, onTrouble, { decorate = () => {}, onGrow = () => {} } = {}) {
    this.#list = list;
    Object.assign(this, { onTrouble, decorate, onGrow });
    new IntersectionObserver(([entry]) => {
      this.#sees = entry.isIntersecting;
      this.#grow();
    }, { rootMargin: "800px" }).observe(sentinel);
  }

  get links() {
    return $$("a.card", this.#list);
  }

  get items() {
    return [...this.#list.children].map((one) => one.item);
  }

  // more(): the next items, or none.
  show(items, more) {
    this.#list.replaceChildren();
    this.#add(items);
    this.#more = more;
    this.#grow();
  }

  clear() {
    this.show([], null);
  }

  itemOf(element) {
    return element?.closest?.("li")?.item ?? null;
  }

  focus(at) {
    const link = this.links[Math.max(0, Math.min(at, this.links.length - 1))];
    link?.focus();
    link?.scrollIntoView({ block: "nearest" });
  }

  // Arrow keys; from anywhere else they go to the first picture.
  walk(key) {
    const { links } = this;
    if (!links.length) return false;
    const at = links.indexOf(document.activeElement?.closest?.("a.card"));
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: this.#columns(), ArrowUp: -this.#columns() }[key];
    if (step === undefined) return false;
    if (at < 0) this.focus(0);
    else if (at + step >= 0 && at + step < links.length) this.focus(at + step);
    else if (step > 1) this.focus(links.length - 1);
    return true;
  }

  #add(items) {
    const cards = items.map(card);
    cards.forEach(this.decorate);
    this.#list.append(...cards);
    this.onGrow(items);
  }

  #columns() {
    const [first, ...others] = this.#list.children;
    const below = others.findIndex((one) => one.offsetTop > first.offsetTop);
    return below < 0 ? others.length + 1 : below + 1;
  }

  async #grow() {
    while (this.#more && this.#sees && !this.#loading) {
      const more = this.#more;
      this.#loading = true;
      try {
        const items = await more();
        if (more === this.#more) {
          this.#add(items);
          if (!items.length) this.#more = null;
        }
      } catch (error) {
        this.#more = null;
        this.onTrouble(error);
      } finally {
        this.#loading = false;
      }
      await new Promise((shown) => requestAnimationFrame(shown));
    }
  }
}
