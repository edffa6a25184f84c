// The side panel: what the library can be narrowed down by, with the clips each choice would leave.

import { get } from "./api.js";
import { $, make } from "./elements.js";

const NAMES = {
  kind: "Kind", camera: "Camera", day: "Day", length: "Duration", resolution: "Resolution", codec: "Codec", hdr: "Range",
  album: "Album", category: "Category", tag: "Tag", label: "Label", rating: "Rating", pick: "Pick", state: "State", status: "Progress", batch: "Batch",
};
const FLAGS = { has_audio: "Has sound", offline: "Offline", not_backed_up: "Not backed up" };
const ORDERED = {
  length: ["under 10 s", "10 s to 1 min", "1 to 10 min", "over 10 min"],
  resolution: ["8k", "4k", "1080p", "720p", "sd"],
};
const SHOWN = 6;
// Shown though there is one value only: people chose it.
const CHOSEN_BY_PEOPLE = new Set(["album", "category", "tag", "rating", "pick"]);
const OTHERS = ["shot_from", "shot_to", "min_rating", "min_duration_s", "max_duration_s", "name", "folder", "take"];
export const FILTERS = [...Object.keys(NAMES), ...Object.keys(FLAGS), ...OTHERS];

export class Facets {
  #opened = new Set();
  #asked = null;
  #known = null;

  // onChange(parameters): filters as they are chosen now.
  constructor(panel, onChange) {
    this.panel = panel;
    this.form = $("form", panel);
    this.onChange = onChange;
    this.form.addEventListener("change", () => onChange(this.#chosen()));
    this.form.addEventListener("submit", (event) => event.preventDefault());
    $("#clear", panel).addEventListener("click", () => onChange(new URLSearchParams()));
  }

  // The counts are others now, though the filters are the same.
  forget() {
    this.#known = null;
  }

  // Shows the counts that belong to these filters.
  async update(filters) {
    this.#asked?.abort();
    this.#mark(filters);
    if (this.#known === filters.toString()) return;
    this.#asked = new AbortController();
    const { facets } = await get("/api/v1/facets", filters, this.#asked.signal);
    this.#known = filters.toString();
    this.#show(facets, filters);
  }

  // What is chosen stands there at once; the counts follow.
  #mark(filters) {
    for (const input of this.form.elements) {
      if (input.type === "checkbox") input.checked = filters.getAll(input.name).includes(input.value);
      else if (input.name) input.value = filters.get(input.name) ?? "";
    }
  }

  #show(facets, filters) {
    const focused = document.activeElement?.id;
    const groups = Object.entries(NAMES).map(([name, title]) => this.#group(name, title, facets[name] ?? [], filters.getAll(name)));
    this.form.replaceChildren(...[...groups, this.#flags(facets, filters)].filter(Boolean), ...this.#ranges(filters));
    $("#clear", this.panel).hidden = !filters.size;
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  }

  #group(name, title, values, chosen) {
    const known = new Set(values.map(({ value }) => value));
    values = [...values, ...chosen.filter((value) => !known.has(value)).map((value) => ({ value, count: 0 }))];
    if (values.length < (CHOSEN_BY_PEOPLE.has(name) ? 1 : 2) && !chosen.length) return null;
    const order = ORDERED[name];
    if (order) values.sort((a, b) => order.indexOf(a.value) - order.indexOf(b.value));
    const all = this.#opened.has(name);
    const shown = values.filter(({ value }, at) => all || at < SHOWN || chosen.includes(value));
    const group = make("fieldset", {}, make("legend", {}, title), ...shown.map(({ value, count }) => choice(name, value, value, count, chosen.includes(value))));
    if (values.length > shown.length) {
      const more = make("button", { type: "button", className: "plain more" }, `${values.length - shown.length} more`);
      more.addEventListener("click", () => {
        this.#opened.add(name);
        group.replaceWith(this.#group(name, title, values, chosen));
      });
      group.append(more);
    }
    return group;
  }

  #flags(facets, filters) {
    const rows = Object.entries(FLAGS)
      .map(([name, title]) => [name, title, facets[name]?.[0]?.count ?? 0, filters.get(name) === "true"])
      .filter(([, , count, chosen]) => count || chosen);
    return rows.length ? make("fieldset", {}, make("legend", {}, "Is"), ...rows.map(([name, title, count, chosen]) => choice(name, "true", title, count, chosen))) : null;
  }

  #ranges(filters) {
    const date = (name, title) => make("label", { className: "range" }, title, make("input", { type: "date", name, value: filters.get(name) ?? "" }));
    const kept = OTHERS.slice(2).filter((name) => filters.has(name));
    return [
      make("fieldset", {}, make("legend", {}, "Shot"), date("shot_from", "from"), date("shot_to", "to")),
      ...kept.map((name) => make("fieldset", {}, make("legend", {}, name.replaceAll("_", " ")), choice(name, filters.get(name), filters.get(name), null, true))),
    ];
  }

  #chosen() {
    const given = [...new FormData(this.form)].filter(([, value]) => value !== "");
    return new URLSearchParams(given);
  }
}

function choice(name, value, title, count, checked) {
  const box = make("input", { type: "checkbox", name, value, checked, id: `${name}=${value}` });
  const number = count === null ? null : make("span", { className: "number" }, count.toLocaleString());
  return make("label", { className: count === 0 && !checked ? "none" : "" }, box, make("span", { title }, title), number);
}
