// What people say of a clip: stars, pick or reject, state, tags, words and rights. Each change is sent as it is made.

import { get, may, send } from "./api.js";
import { $, make } from "./elements.js";

const STATES = { new: "New", in_review: "In review", approved: "Approved", rejected: "Rejected", archived: "Archived" };
const LINES = { title: "Title", description: "Description", people: "People", owner: "Owner", licence: "Licence", releases: "Releases", rights_expire: "Rights expire" };
const LISTS = new Set(["people", "releases"]);

export function showCuration(section, { media_id: mediaId, curation }) {
  let said = curation;
  const past = history(mediaId);
  const trouble = make("p", { className: "bad", role: "alert", hidden: true });
  const judgement = make("div", { className: "curation" });

  // One after the other: each is guarded by the version that the one before made.
  let sending = Promise.resolve();
  const change = (values) => (sending = sending.then(() => sendChange(values)));

  async function sendChange(values) {
    trouble.hidden = true;
    try {
      said = await send("PATCH", `/api/v1/media/${mediaId}?version=${said.version}`, values);
    } catch (error) {
      trouble.textContent = `${error.message}. ${error.nextStep ?? ""}`;
      trouble.hidden = false;
      if (error.status === 409) said = (await get(`/api/v1/media/${mediaId}`)).curation;
    }
    draw();
  }

  const words = lines(change);

  // What is being typed stays.
  function draw() {
    const field = judgement.contains(document.activeElement) ? document.activeElement.dataset.field : null;
    judgement.replaceChildren(judged(said, change), tags(said, change), ...albums(said));
    if (field) $(`[data-field="${field}"]`, judgement)?.focus();
    for (const input of words.map((label) => label.control)) {
      if (input !== document.activeElement) input.value = textOf(said, input.dataset.field);
    }
    past.dispatchEvent(new Event("toggle"));
  }

  const fields = make("fieldset", { className: "curation", disabled: !may("editor") }, trouble, judgement, ...words);
  section.replaceChildren(make("h2", {}, "Notes"), fields, past);
  section.hidden = false;
  draw();
}

export function stars(rating, onRate) {
  const buttons = [1, 2, 3, 4, 5].map((star) => {
    const button = make("button", { type: "button" }, star <= (rating ?? 0) ? "★" : "☆");
    button.setAttribute("aria-label", `${star} ${star === 1 ? "star" : "stars"}`);
    button.setAttribute("aria-pressed", String(star === rating));
    button.dataset.field = `star-${star}`;
    if (star <= (rating ?? 0)) button.dataset.on = "";
    button.addEventListener("click", () => onRate(star === rating ? null : star));
    return button;
  });
  const group = make("span", { className: "stars", role: "group" }, ...buttons);
  group.setAttribute("aria-label", "Rating");
  return group;
}

function judged(said, change) {
  const verdict = (value, title) => {
    const button = make("button", { type: "button" }, title);
    button.setAttribute("aria-pressed", String(said.pick === value));
    button.dataset.field = value;
    button.addEventListener("click", () => change({ pick: said.pick === value ? null : value }));
    return button;
  };
  const state = make("select", {}, ...Object.entries(STATES).map(([value, title]) => new Option(title, value, false, said.state === value)));
  state.setAttribute("aria-label", "State");
  state.dataset.field = "state";
  state.addEventListener("change", () => change({ state: state.value }));
  return make("div", { className: "row" }, stars(said.rating, (rating) => change({ rating })), verdict("pick", "Pick"), verdict("reject", "Reject"), state);
}

function tags(said, change) {
  const given = said.tags.map((tag) => {
    const button = make("button", { type: "button", title: `Take ${tag} away` }, tag, make("span", {}, "×"));
    button.addEventListener("click", () => change({ remove_tags: [tag] }));
    return button;
  });
  const add = make("input", { placeholder: "Add a tag", maxLength: 200, autocomplete: "off" });
  add.setAttribute("aria-label", "Add a tag");
  add.setAttribute("list", "vocabulary");
  add.dataset.field = "tag";
  add.addEventListener("change", () => add.value.trim() && change({ add_tags: [add.value] }));
  const known = make("datalist", { id: "vocabulary" });
  add.addEventListener("focus", async () => {
    const { items } = await get("/api/v1/tags").catch(() => ({ items: [] }));
    known.replaceChildren(...items.map((term) => new Option(term.tag)));
  }, { once: true });
  return make("div", { className: "field" }, "Tags", make("div", { className: "given" }, ...given), add, known);
}

function albums(said) {
  if (!said.albums.length) return [];
  const links = said.albums.map((album) => make("a", { className: "tag", href: `/library?album=${encodeURIComponent(album)}` }, album));
  return [make("div", { className: "field" }, "Albums", make("div", { className: "given" }, ...links))];
}

function lines(change) {
  return Object.entries(LINES).map(([name, title]) => {
    const input = make(name === "description" ? "textarea" : "input");
    if (name === "rights_expire") input.type = "date";
    input.dataset.field = name;
    input.addEventListener("change", () => change({ [name]: valueOf(name, input.value) }));
    return make("label", { className: "field" }, title, input);
  });
}

function textOf(said, name) {
  return LISTS.has(name) ? said[name].join(", ") : (said[name] ?? "");
}

function valueOf(name, text) {
  if (LISTS.has(name)) return text.split(",").map((part) => part.trim()).filter(Boolean);
  return text.trim() || null;
}

function history(mediaId) {
  const list = make("ol", { className: "history" });
  const details = make("details", {}, make("summary", {}, "History"), list);
  details.addEventListener("toggle", async () => {
    if (!details.open) return;
    const { items } = await get(`/api/v1/media/${mediaId}/history`).catch(() => ({ items: [] }));
    list.replaceChildren(...items.map(told));
    if (!items.length) list.replaceChildren(make("li", {}, "Nothing was changed yet."));
  });
  return details;
}

function told({ field, old, new: now, changed_utc: utc, changed_by: by }) {
  const shown = (value) => (Array.isArray(value) ? value.join(", ") : value) ?? "";
  const change = [shown(old), shown(now)].map((value) => String(value) || "nothing").join(" → ");
  return make("li", {}, make("b", {}, field), `: ${change}, by ${by}, ${new Date(utc).toLocaleString()}`);
}
