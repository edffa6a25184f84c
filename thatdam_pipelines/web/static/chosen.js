// What is chosen in the library, and what can be done with all of it.

import { may, send } from "./api.js";
import { make } from "./elements.js";
import { count } from "./figures.js";
import { askRights } from "./rights.js";

const STATES = { in_review: "In review", approved: "Approved", rejected: "Rejected", archived: "Archived", new: "New" };
// As many as one ZIP file takes.
const MOST_FILES = 500;

export class Chosen {
  #clips = new Map();
  #last = null;

  // onChange(): other clips are chosen now. onDone(): they were changed.
  constructor(bar, { onChange, onDone }) {
    Object.assign(this, { bar, onChange, onDone });
  }

  get size() {
    return this.#clips.size;
  }

  has(id) {
    return this.#clips.has(id);
  }

  // order: all clips as they are shown, to choose from the last one up to this.
  toggle(clip, order = null) {
    const from = order?.findIndex((one) => one.media_id === this.#last) ?? -1;
    if (from >= 0) {
      const to = order.findIndex((one) => one.media_id === clip.media_id);
      for (const one of order.slice(Math.min(from, to), Math.max(from, to) + 1)) this.#clips.set(one.media_id, one);
    } else if (!this.#clips.delete(clip.media_id)) this.#clips.set(clip.media_id, clip);
    this.#last = clip.media_id;
    this.#show();
  }

  clear() {
    this.#clips.clear();
    this.#show();
  }

  #show() {
    this.bar.hidden = !this.size;
    if (this.size) this.bar.replaceChildren(...this.#tools());
    this.onChange();
  }

  #tools() {
    const clear = make("button", { type: "button", className: "plain" }, "Choose none");
    clear.addEventListener("click", () => this.clear());
    return [
      make("b", {}, `${count(this.size, "clip")} chosen`), clear, ...(may("editor") ? this.#editing() : []), this.#download(),
      ...(may("admin") ? [this.#deed("Back up now", () => this.#backUp())] : []),
    ];
  }

  #editing() {
    const stars = [1, 2, 3, 4, 5].map((rating) => this.#button("★", { rating }, `Rate ${rating} of 5`));
    const rating = make("span", { className: "stars", role: "group" }, ...stars);
    rating.setAttribute("aria-label", "Rating");
    const state = make("select", {}, new Option("State …", ""), ...Object.entries(STATES).map(([value, title]) => new Option(title, value)));
    state.setAttribute("aria-label", "State");
    state.addEventListener("change", () => state.value && this.#change({ state: state.value }));
    const failed = [...this.#clips.values()].filter((clip) => clip.failed_reason).map((clip) => clip.media_id);
    return [
      rating, this.#button("Pick", { pick: "pick" }), this.#button("Reject", { pick: "reject" }), state,
      this.#field("Add tag", (tag) => ({ add_tags: [tag] })), this.#field("Add to album", (album) => ({ add_albums: [album] })),
      this.#deed("Rights …", () => askRights(this.size, (rights) => this.#change(rights))),
      failed.length ? this.#deed(`Retry ${failed.length} failed`, () => this.#retry(failed)) : null,
    ].filter(Boolean);
  }

  // A link, so that the browser saves it while it comes.
  #download() {
    const query = new URLSearchParams([...this.#clips.keys()].map((id) => ["media_id", id]));
    if (this.size <= MOST_FILES) return make("a", { className: "button", href: `/api/v1/download?${query}` }, "Download");
    return make("button", { type: "button", disabled: true, title: `Up to ${MOST_FILES} at once` }, "Download");
  }

  #deed(title, deed) {
    const button = make("button", { type: "button" }, title);
    button.addEventListener("click", deed);
    return button;
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

  #change(change) {
    return this.#ask(async () => {
      await send("PATCH", "/api/v1/media", { media_ids: [...this.#clips.keys()], change });
      this.#show();
      this.onDone();
      return `${count(this.size, "clip")} changed.`;
    });
  }

  #retry(failed) {
    return this.#ask(async () => {
      const { job_ids: jobs } = await send("POST", "/api/v1/media/retry", { media_ids: failed });
      return `${count(jobs.length, "run")} started: see Status.`;
    });
  }

  #backUp() {
    return this.#ask(async () => {
      await send("POST", "/api/v1/backup", {});
      return "A snapshot was started: it copies all that no target holds yet. See Backups.";
    });
  }

  // Says what came of it, or what is wrong.
  async #ask(deed) {
    this.bar.querySelector("[role=status], [role=alert]")?.remove();
    try {
      this.bar.append(make("span", { className: "quiet", role: "status" }, await deed()));
    } catch (error) {
      this.bar.append(make("span", { className: "trouble", role: "alert" }, `${error.message}. ${error.nextStep ?? ""}`));
    }
  }
}
