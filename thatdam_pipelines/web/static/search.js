// The search page. The address bar holds the query; what is played stands behind its `#`.

import { get, send } from "./api.js";
import { whole } from "./card.js";
import { $, isTyping, make } from "./elements.js";
import { FILTERS, Facets } from "./facets.js";
import { count } from "./figures.js";
import { Grid } from "./grid.js";
import { offerExplanation, withdrawExplanation } from "./missing.js";
import { Player } from "./player.js";

const PAGE = 24;
const SLOW_MS = 1500;
const AGAIN_MS = 3000;
const pictures = new Map();
const grid = new Grid($("#grid"), $("#end"), showTrouble);
const facets = new Facets($("#filters"), (filters) => go(with_({ filters })));
const overlay = $("#overlay");
const player = new Player($(".player", overlay));
let asked = "";
let asking = null;
let played = null;

// --- the query and the address bar ------------------------------------------

function query() {
  const all = new URLSearchParams(location.search);
  const filters = new URLSearchParams([...all].filter(([name]) => FILTERS.includes(name)));
  const picture = pictures.has(history.state?.picture) ? history.state.picture : null;
  return { q: all.get("q") ?? "", like: all.get("like"), picture, filters };
}

const with_ = (change) => ({ ...query(), ...change });

function go({ q, like, picture, filters }) {
  const all = new URLSearchParams();
  if (q.trim()) all.set("q", q.trim());
  if (like) all.set("like", like);
  for (const [name, value] of filters) all.append(name, value);
  history.pushState({ picture }, "", `/${all.size ? `?${all}` : ""}`);
  arrive();
}

async function arrive() {
  const now = query();
  $("#q").value = now.q;
  showToken(now);
  facets.update(now.filters).catch(() => {});
  const key = `${location.search} ${now.picture ?? ""}`;
  if (key !== asked) {
    asked = key;
    await search(now);
  }
  showPlayed();
}

// --- asking -----------------------------------------------------------------

async function search(now) {
  asking?.abort();
  const mine = (asking = new AbortController());
  const { q, like, picture, filters } = now;
  const looks = Boolean(q || like || picture);
  document.title = q ? `${q} · thatdam` : "thatdam";
  document.body.dataset.state = "asking";
  $("#nothing").hidden = true;
  const slow = setTimeout(() => ($("#count").textContent = "Searching … The first search loads the model."), SLOW_MS);
  mine.signal.addEventListener("abort", () => clearTimeout(slow));
  try {
    const ask = (cursor) => (looks ? moments(now, cursor, mine.signal) : clips(filters, cursor, mine.signal));
    const page = await ask(null);
    clearTimeout(slow);
    let cursor = page.next_cursor;
    grid.show(page.shown, async () => {
      if (!cursor) return [];
      const next = await ask(cursor);
      cursor = next.next_cursor;
      return next.shown;
    });
    showNotes(looks ? page : null);
    showCount(page, looks, filters);
    withdrawExplanation();
    if (!page.shown.length) await showNothing(now, looks, page.knows_words);
    Object.assign(document.body.dataset, { state: "answered", answered: location.search });
  } catch (error) {
    if (error.name !== "AbortError") showTrouble(error);
  } finally {
    clearTimeout(slow);
  }
}

async function moments({ q, like, picture, filters }, cursor, signal) {
  const parameters = new URLSearchParams(filters);
  if (q) parameters.set("q", q);
  if (like) parameters.set("like", like);
  if (cursor) parameters.set("cursor", cursor);
  parameters.set("limit", PAGE);
  let page;
  if (picture) {
    const form = new FormData();
    form.append("image", pictures.get(picture));
    page = await send("POST", `/api/v1/search?${parameters}`, form, signal);
  } else page = await get("/api/v1/search", parameters, signal);
  return { ...page, shown: page.items.map((one) => ({ ...one, name: one.clip?.name ?? one.path.split("/").pop(), start: one.start_s, end: one.end_s })) };
}

async function clips(filters, cursor, signal) {
  const parameters = new URLSearchParams(filters);
  if (cursor) parameters.set("cursor", cursor);
  parameters.set("limit", 2 * PAGE);
  const page = await get("/api/v1/media", parameters, signal);
  return { ...page, shown: page.items.map(whole) };
}

// --- showing ----------------------------------------------------------------

function showCount(page, looks, filters) {
  const said = looks
    ? `${count(page.shown.length, "moment")}${page.next_cursor ? ", more below" : ""}`
    : `${count(page.total, "clip")}${filters.size ? " fit the filters" : ", latest first"}`;
  $("#count").textContent = page.shown.length ? said : "";
}

function showNotes(page) {
  const notes = $("#notes");
  const lines = page ? page.notes.slice(1) : [];
  if (page && !page.knows_words) lines.unshift("No model that understands words serves this library: words find names, tags and facts. A picture finds what looks like it.");
  notes.replaceChildren(...lines.map((line) => make("p", {}, line)));
  notes.hidden = !lines.length;
  $("#count").title = page ? page.notes[0] : "";
}

async function showNothing({ q, filters }, looks, knowsWords) {
  const place = $("#nothing");
  place.hidden = false;
  if (!looks && !filters.size) return place.replaceChildren($("#empty-library").content.cloneNode(true));
  const parts = [make("h2", {}, "Nothing found")];
  parts.push(make("p", {}, whyNothing(looks, knowsWords)));
  if (filters.size) {
    const drop = make("button", { type: "button" }, looks ? "Search without filters" : "Clear filters");
    drop.addEventListener("click", () => go(with_({ filters: new URLSearchParams() })));
    parts.push(make("p", {}, drop));
  }
  place.replaceChildren(...parts);
  if (q) place.append(...(await ofThatName(q)));
  if (q) offerExplanation(q);
}

function whyNothing(looks, knowsWords) {
  if (!looks) return "No clip fits all these filters.";
  if (!knowsWords) return "No name, tag, note or fact in the library has these words, and nothing looks like it.";
  return "Nothing in the library comes close enough to that. A moment is shown only when it is closer to the query than to what says nothing.";
}

// Files of that name, whose pages say what is done and what is missing.
async function ofThatName(q) {
  const { items } = await get("/api/v1/media", new URLSearchParams({ name: q.slice(0, 255), limit: 5 })).catch(() => ({ items: [] }));
  const links = items.map((clip) => make("li", {}, make("a", { href: `${clip.links.page}#stages` }, clip.name), ` · ${clip.failed_reason ?? clip.status}`));
  return links.length ? [make("p", {}, "Files of that name, and what was done to them:"), make("ul", {}, ...links)] : [];
}

function showTrouble(error) {
  document.body.dataset.state = "failed";
  grid.clear();
  $("#count").textContent = "";
  $("#notes").hidden = true;
  const again = make("button", { type: "button" }, "Try again");
  again.addEventListener("click", () => search(query()));
  $("#nothing").replaceChildren(make("h2", {}, "No answer"), make("p", {}, error.message), make("p", { className: "quiet" }, error.nextStep ?? ""), again);
  $("#nothing").hidden = false;
}

function showToken({ like, picture }) {
  const token = $("#shown");
  token.hidden = !like && !picture;
  if (token.hidden) return;
  const [media, time] = (like ?? "").split("@");
  $("img", token).src = picture ? URL.createObjectURL(pictures.get(picture)) : `/api/v1/media/${media}/frame.jpg?t=${time}`;
  $("span", token).textContent = picture ? "this picture" : "like this";
}

// --- playing ----------------------------------------------------------------

function play(item, at = item.start) {
  if (!item.clip) return location.assign(item.links.page);
  history.pushState({ ...history.state, playing: true }, "", `${location.pathname}${location.search}#${item.media_id}@${at}`);
  return showPlayed();
}

async function showPlayed() {
  const found = /^#([0-9a-f]{32})@([\d.]+)$/.exec(location.hash);
  if (!found) return closeOverlay();
  const [, mediaId, time] = found;
  const at = Number(time);
  const item = grid.items.find((one) => one.media_id === mediaId && one.start === at) ?? grid.items.find((one) => one.media_id === mediaId);
  if (!item?.clip) return location.assign(`/clips/${mediaId}?t=${at}`);
  if (played === item && overlay.open) return player.seek(at);
  played = item;
  $("#playing").textContent = item.name;
  $("#why").textContent = (item.reasons ?? []).join(" · ").replaceAll(/[[\]]/g, "");
  $("#to-clip").href = `${item.links.page}?t=${at}`;
  if (!overlay.open) overlay.showModal();
  player.element.focus({ preventScroll: true });
  const moment = item.score === undefined ? null : { start: item.start, end: item.end };
  return player.load({ clip: item.clip, links: item.links, at, moment, play: true });
}

function closeOverlay() {
  if (!overlay.open) return;
  player.unload();
  overlay.close();
  grid.focus(grid.items.indexOf(played));
  played = null;
}

function leaveOverlay() {
  if (history.state?.playing) history.back();
  else {
    history.replaceState(history.state, "", `${location.pathname}${location.search}`);
    closeOverlay();
  }
}

function playNext(step) {
  const next = grid.items[grid.items.indexOf(played) + step];
  if (!next?.clip) return;
  history.replaceState(history.state, "", `${location.pathname}${location.search}#${next.media_id}@${next.start}`);
  showPlayed();
}

function moreLike(item, time = item.start) {
  if (item.clip?.kind === "audio") return;
  const at = Math.round(time * 1000) / 1000;
  go({ q: "", like: `${item.media_id}@${at}`, picture: null, filters: query().filters });
}

function searchBy(file) {
  if (!file?.type.startsWith("image/")) return;
  const key = crypto.randomUUID();
  pictures.set(key, file);
  go(with_({ q: "", like: null, picture: key }));
}

// --- what is pressed --------------------------------------------------------

$("#ask").addEventListener("submit", (event) => {
  event.preventDefault();
  go(with_({ q: $("#q").value }));
});
$("#picture").addEventListener("change", ({ target }) => {
  searchBy(target.files[0]);
  target.value = "";
});
$("button", $("#shown")).addEventListener("click", () => go(with_({ like: null, picture: null })));
$("#grid").addEventListener("click", (event) => {
  const item = grid.itemOf(event.target);
  if (!item || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  if (event.target.closest(".alike")) moreLike(item);
  else play(item);
});
$("#alike").addEventListener("click", () => {
  const [item, time] = [played, player.time];
  closeOverlay();
  moreLike(item, time);
});
$("#close-overlay").addEventListener("click", leaveOverlay);
overlay.addEventListener("cancel", (event) => {
  event.preventDefault();
  leaveOverlay();
});
overlay.addEventListener("click", (event) => event.target === overlay && leaveOverlay());

function showFilters(open) {
  $("#filters").classList.toggle("open", open);
  $("#open-filters").setAttribute("aria-expanded", String(open));
}

$("#open-filters").addEventListener("click", () => showFilters(!$("#filters").classList.contains("open")));
document.addEventListener("keydown", (event) => {
  if ($("#keyboard").open) return;
  if (overlay.open) return pressInPlayer(event);
  const box = event.target === $("#q");
  if (box && event.key === "ArrowDown") grid.focus(0);
  else if (isTyping(event)) return;
  else if (grid.walk(event.key)) event.preventDefault();
  else pressInGrid(event);
});

function pressInGrid(event) {
  const item = grid.itemOf(document.activeElement);
  const key = event.key.toLowerCase();
  if (key === "m" && item) moreLike(item);
  else if (key === "c" && item) location.assign(`${item.links.page}?t=${item.start}`);
  else if (key === "f") {
    showFilters(true);
    $("input", $("#facets"))?.focus();
  } else return;
  event.preventDefault();
}

function pressInPlayer(event) {
  if (isTyping(event)) return;
  const key = event.key.toLowerCase();
  const onButton = event.target.closest("button, a") && (key === " " || key === "enter");
  if (onButton) return;
  if (key === "]" || key === "[") playNext(key === "]" ? 1 : -1);
  else if (key === "m") $("#alike").click();
  else if (key === "c") $("#to-clip").click();
  else if (!player.press(event)) return;
  event.preventDefault();
}

// A picture that is dropped on the box is searched by; whatever is dropped elsewhere is taken in.
$("#ask").addEventListener("drop", (event) => {
  const picture = [...event.dataTransfer.files].find((file) => file.type.startsWith("image/"));
  if (!picture) return;
  event.preventDefault();
  searchBy(picture);
});

// An empty library fills before one's eyes: what arrived is there as soon as it is published.
let filling = false;
document.addEventListener("arrived", async () => {
  if (filling) return;
  filling = true;
  while (location.search === "" && !grid.items.length) {
    facets.forget();
    asked = "";
    await arrive();
    await new Promise((later) => setTimeout(later, AGAIN_MS));
  }
  filling = false;
});
window.addEventListener("popstate", arrive);
arrive();
