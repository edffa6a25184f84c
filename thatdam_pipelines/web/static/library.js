// The library page: clips by filters and order, as a grid or a table; what is chosen is changed together.

import { get } from "./api.js";
import { hasPicture, whole } from "./card.js";
import { Chosen } from "./chosen.js";
import { $, $$, isTyping, make } from "./elements.js";
import { FILTERS, Facets } from "./facets.js";
import { bytes, count, day, span } from "./figures.js";
import { Grid } from "./grid.js";

const PAGE = 60;
const grid = new Grid($("#grid"), $("#end"), showTrouble, { decorate, onGrow: fillTable });
const facets = new Facets($("#filters"), (filters) => go({ filters }));
const chosen = new Chosen($("#chosen"), { onChange: showChosen, onDone: changed });
let asking = null;

function query() {
  const all = new URLSearchParams(location.search);
  const filters = new URLSearchParams([...all].filter(([name]) => FILTERS.includes(name)));
  return { filters, sort: all.get("sort") ?? "-shot", view: all.get("view") ?? "grid" };
}

function go(change) {
  const { filters, sort, view } = { ...query(), ...change };
  const all = new URLSearchParams(filters);
  if (sort !== "-shot") all.set("sort", sort);
  if (view !== "grid") all.set("view", view);
  history.pushState(null, "", `/library${all.size ? `?${all}` : ""}`);
  arrive();
}

function arrive() {
  const { filters, sort, view } = query();
  $("#sort").value = sort;
  for (const button of $$("[data-view]")) button.setAttribute("aria-pressed", String(button.dataset.view === view));
  $("#grid").hidden = view !== "grid";
  $("#table").hidden = view !== "table";
  facets.update(filters).catch(() => {});
  load();
}

function changed() {
  facets.forget();
  arrive();
}

async function load() {
  asking?.abort();
  const mine = (asking = new AbortController());
  const { filters, sort } = query();
  document.body.dataset.state = "asking";
  $("#nothing").hidden = true;
  try {
    const ask = (cursor) => clips(filters, sort, cursor, mine.signal);
    const page = await ask(null);
    let cursor = page.next_cursor;
    $("tbody", $("#table")).replaceChildren();
    grid.show(page.shown, async () => {
      if (!cursor) return [];
      const next = await ask(cursor);
      cursor = next.next_cursor;
      return next.shown;
    });
    $("#count").textContent = count(page.total, "clip");
    if (!page.total) showNothing(filters);
    Object.assign(document.body.dataset, { state: "answered", answered: location.search });
  } catch (error) {
    if (error.name !== "AbortError") showTrouble(error);
  }
}

async function clips(filters, sort, cursor, signal) {
  const parameters = new URLSearchParams(filters);
  parameters.set("sort", sort);
  parameters.set("limit", PAGE);
  if (cursor) parameters.set("cursor", cursor);
  const page = await get("/api/v1/media", parameters, signal);
  return { ...page, shown: page.items.map(whole) };
}

function showNothing(filters) {
  const clear = make("button", { type: "button" }, "Clear filters");
  clear.addEventListener("click", () => go({ filters: new URLSearchParams() }));
  $("#nothing").replaceChildren(make("h2", {}, filters.size ? "No clip fits all these filters" : "Nothing here yet"), filters.size ? clear : make("a", { href: "/" }, "How footage gets here"));
  $("#nothing").hidden = false;
}

function showTrouble(error) {
  grid.clear();
  $("#count").textContent = "";
  $("#nothing").replaceChildren(make("h2", {}, "No answer"), make("p", {}, error.message), make("p", { className: "quiet" }, error.nextStep ?? ""));
  $("#nothing").hidden = false;
  document.body.dataset.state = "failed";
}

// --- choosing ---------------------------------------------------------------

function chooser(item) {
  const box = make("input", { type: "checkbox", checked: chosen.has(item.media_id) });
  box.setAttribute("aria-label", `Choose ${item.name}`);
  const label = make("label", { className: "choose" }, box);
  label.addEventListener("click", (event) => {
    event.preventDefault();
    choose(item, event.shiftKey);
  });
  box.addEventListener("keydown", (event) => {
    if (event.key !== " ") return;
    event.preventDefault();
    choose(item, event.shiftKey);
  });
  return label;
}

function choose(item, toHere) {
  chosen.toggle(item.clip, toHere ? grid.items.map((one) => one.clip) : null);
}

function decorate(element) {
  const { item } = element;
  element.append(chooser(item));
  const { rating, pick } = item.clip;
  const said = [rating ? "★".repeat(rating) : "", pick === "pick" ? "✓" : "", pick === "reject" ? "✕" : ""].filter(Boolean).join(" ");
  if (said) $(".picture", element).append(make("span", { className: "verdicts" }, said));
  showAsChosen(element);
}

function showAsChosen(element) {
  const is = chosen.has(element.item.media_id);
  element.toggleAttribute("data-chosen", is);
  $(".choose input", element).checked = is;
}

function showChosen() {
  $("#grid").toggleAttribute("data-choosing", chosen.size > 0);
  for (const element of [...$("#grid").children, ...$("tbody", $("#table")).children]) showAsChosen(element);
}

function fillTable(items) {
  $("tbody", $("#table")).append(...items.map(row));
}

function row(item) {
  const { clip } = item;
  const image = hasPicture(clip) ? make("img", { src: item.links.frame, alt: "", loading: "lazy" }) : null;
  const size = clip.display_width ? `${clip.display_width}×${clip.display_height}` : "";
  const element = make(
    "tr",
    {},
    make("td", {}, make("span", { className: "shown" }, chooser(item), make("span", { className: "picture" }, image))),
    make("td", {}, make("a", { href: item.links.page }, item.name)),
    make("td", {}, day(clip.shot_utc)),
    make("td", {}, clip.camera ?? ""),
    make("td", { className: "number" }, span(clip.duration_s)),
    make("td", {}, size),
    make("td", {}, clip.codec ?? ""),
    make("td", { className: "number" }, clip.scenes || ""),
    make("td", { className: "number" }, bytes(clip.size_bytes)),
    make("td", { className: clip.failed_reason ? "bad" : "", title: clip.failed_reason ?? "" }, clip.status),
  );
  element.item = item;
  showAsChosen(element);
  return element;
}

// --- what is pressed --------------------------------------------------------

$("#sort").addEventListener("change", ({ target }) => go({ sort: target.value }));
for (const button of $$("[data-view]")) button.addEventListener("click", () => go({ view: button.dataset.view }));
for (const shown of [$("#grid"), $("#table")]) {
  // With Shift all between are chosen: their text is not to be marked as well.
  shown.addEventListener("mousedown", (event) => event.shiftKey && event.preventDefault());
}
$("#open-filters").addEventListener("click", ({ target }) => {
  const open = $("#filters").classList.toggle("open");
  target.setAttribute("aria-expanded", String(open));
});
document.addEventListener("keydown", (event) => {
  if (isTyping(event) || $("dialog[open]")) return;
  const item = grid.itemOf(document.activeElement);
  if (event.key === "Escape" && chosen.size) chosen.clear();
  else if (event.key === "x" && item) choose(item, false);
  else if (!grid.walk(event.key)) return;
  event.preventDefault();
});
$("#grid").addEventListener("click", (event) => {
  const item = grid.itemOf(event.target);
  if (event.target.closest(".alike")) location.assign(`/?like=${item.media_id}@0`);
  else if (item && event.shiftKey && event.target.closest(".card")) {
    event.preventDefault();
    choose(item, true);
  }
});
window.addEventListener("popstate", arrive);
arrive();
