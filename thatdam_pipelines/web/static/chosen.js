// What is chosen in the library, and what can be done with all of it.

import { send } from "./api.js";
import { make } from "./elements.js";
import { count } from "./figures.js";

const STATES = { in_review: "In review", approved: "Approved", rejected: "Rejected", archived: "Archived", new: "New" };

export class Chosen {
  #ids = new Set();
  #last = null;

  // onChange(): other clips are chosen now. onDone(): they were changed.
  constructor(bar, { onChange, onDone }) {
    Object.assign(this, { bar, onChange, onDone });
  }

  get size() {
    return this.#ids.size;
  }

  has(id) {
    return this.#ids.has(id);
  }

  // order: all ids as they are shown, to choose from the last one up to this.
  toggle(id, order = null) {
    const from = order?.indexOf(this.#last) ?? -1;
    if (from >= 0) {
      const to = order.indexOf(id);
      for (const one of order.slice(Math.min(from, to), Math.max(from, to) + 1)) this.#ids.add(one);
    } else if (!this.#ids.delete(id)) this.#ids.add(id);
    this.#last = id;
    this.#show();
  }

  clear() {
    this.#ids.clear();
    this.#show();
  }

  #show() {
    this.bar.hidden = !this.size;
    if (this.size) this.bar.replaceChildren(...this.#tools());
    this.onChange();
  }

  #tools() {
    const stars = [1, 2, 3, 4, 5].map((rating) => this.#button("★", { rating }, `Rate ${rating} of 5`));
    const rating = make("span", { className: "stars", role: "group" }, ...stars);
    rating.setAttribute("aria-label", "Rating");
    const state = make("select", {}, new Option("State …", ""), ...Object.entries(STATES).map(([value, title]) => new Option(title, value)));
    state.setAttribute("aria-label", "State");
    state.addEventListener("change", () => state.value && this.#change({ state: state.value }));
    const clear = make("button", { type: "button", className: "plain" }, "Choose none");
    clear.addEventListener("click", () => this.clear());
    return [
      make("b", {}, `${count(this.size, "clip")} chosen`), rating, this.#button("Pick", { pick: "pick" }), this.#button("Reject", { pick: "reject" }), state,
      this.#field("Add tag", (tag) => ({ add_tags: [tag] })), this.#field("Add to album", (album) => ({ add_albums: [album] })), clear,
    ];
  }

  #button(title, change, label = title) {
    const button = make("button", { type: "button" }, title);
    button.setAttribute("aria-label", label);
    button.addEventListener("click", () => this.#change(change));
    return button;
  }

  #field(title, changeOf) {
    const input = make("input", { placeholder: title, maxLength: 200, autocomplete: "off" });
    input.setAttribute("aria-label", title);
    input.addEventListener("change", () => input.value.trim() && this.#change(changeOf(input.value)));
    return input;
  }

  async #change(change) {
    this.bar.querySelector(".trouble")?.remove();
    try {
      await send("PATCH", "/api/v1/media", { media_ids: [...this.#ids], change });
      this.#show();
      this.onDone();
    } catch (error) {
      this.bar.append(make("span", { className: "trouble", role: "alert" }, `${error.message}. ${error.nextStep ?? ""}`));
    }
  }
}
