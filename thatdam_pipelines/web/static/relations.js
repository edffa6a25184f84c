// What a clip has to do with others: each with the time in it that is the same as the time that is shown here.

import { get } from "./api.js";
import { hasPicture } from "./card.js";
import { make } from "./elements.js";
import { span } from "./figures.js";

const GROUPS = {
  source: "Made of it", copy: "Made from", near_duplicate: "Nearly the same", same_take: "Same take", same_scene: "Same scene",
  same_place: "Same place", same_session: "Same session", synced: "Recorded beside it",
};
const SHOWN = 4;

// player: where the clip is seen; null where there is nothing to play.
export async function showRelations(section, mediaId, player) {
  const { items, synced } = await get(`/api/v1/media/${mediaId}/related`).catch(() => ({ items: [], synced: [] }));
  const made = new Set(items.filter(({ relation }) => relation === "derived_from").map((one) => one.media_id));
  const told = items.filter((one) => one.relation !== "near_duplicate" || !made.has(one.media_id));
  const rows = [...told.map(related), ...synced.map(beside)];
  if (!rows.length) return;
  const groups = Object.entries(GROUPS)
    .map(([name, title]) => group(title, rows.filter((row) => row.group === name), player))
    .filter(Boolean);
  section.replaceChildren(make("h2", {}, "Related"), ...groups);
  section.hidden = false;
  if (!player) return;
  const align = () => rows.forEach(({ links, address }) => links?.forEach((link) => (link.href = address(player.time))));
  for (const moved of ["timeupdate", "seeked"]) player.video.addEventListener(moved, align);
  align();
}

function related(one) {
  const { relation, direction, score, method, operations, start_s: start, end_s: end, other_start_s: other, other_end_s: otherEnd } = one;
  const ranged = start !== null && other !== null;
  const stretch = ranged ? { here: [start, end], there: [other, otherEnd] } : null;
  const timeAt = (time) => (ranged ? other + (time >= start && time < end ? (time - start) * (one.speed ?? 1) : 0) : 0);
  const said = [method, one.mirrored && !operations?.includes("mirror") ? "mirrored" : "", ...(operations ?? [])].filter(Boolean).join(", ");
  return { one, group: direction === "both" ? relation : direction, score, stretch, said, timeAt, address: addressOf(one, timeAt) };
}

function beside(one) {
  const timeAt = (time) => Math.max(0, (one.offset_s ?? 0) + time * (1 + (one.drift_ppm ?? 0) / 1e6));
  const error = one.error_s === null ? "" : ` ± ${(1000 * one.error_s).toFixed(1)} ms`;
  const drift = one.drift_ppm === null ? "" : `, drift ${one.drift_ppm.toFixed(1)} ppm`;
  const said = one.sure ? `begins at ${one.offset_s.toFixed(3)} s of it${error}${drift}, by ${one.method}` : `not aligned: ${one.reason}`;
  return { one, group: "synced", score: one.confidence, stretch: null, said, timeAt, address: addressOf(one, timeAt) };
}

const addressOf = ({ links }, timeAt) => (time) => `${links.page}?t=${timeAt(time).toFixed(3)}`;

function group(title, rows, player) {
  if (!rows.length) return null;
  const list = make("ul", { className: "relations" }, ...rows.slice(0, SHOWN).map((row) => line(row, player)));
  const rest = rows.slice(SHOWN);
  const more = rest.length ? make("button", { type: "button", className: "plain more" }, `${rest.length} more`) : null;
  more?.addEventListener("click", () => {
    list.append(...rest.map((row) => line(row, player)));
    more.remove();
  });
  return make("div", { className: "relation" }, make("h3", {}, title), list, more);
}

function line(row, player) {
  const { one, score, stretch, said, timeAt, address } = row;
  const { clip, links, path } = one;
  const name = clip?.name ?? path.split("/").pop();
  const now = player?.time ?? 0;
  const source = clip?.kind === "video" ? `${links.frame}?t=${timeAt(stretch?.here[0] ?? 0)}` : links.frame;
  const image = clip && hasPicture(clip) ? make("img", { src: source, alt: "", loading: "lazy" }) : null;
  const picture = make("a", { className: "picture", href: address(now), tabIndex: -1 }, image);
  picture.setAttribute("aria-hidden", "true");
  const link = make("a", { href: address(now), title: path }, name);
  row.links = [picture, link];
  const meter = make("meter", { min: 0, max: 1, value: score, title: `Score ${score.toFixed(2)} of 1` });
  meter.setAttribute("aria-label", "Score");
  return make(
    "li",
    {},
    picture,
    make("span", { className: "named" }, link, make("span", { className: "quiet" }, said)),
    stretch ? times(stretch, player) : make("span", {}),
    make("span", { className: "score mono" }, meter, score.toFixed(2)),
  );
}

// From when to when, here and there; pressed, it is shown here.
function times({ here, there }, player) {
  const range = ([start, end]) => `${span(start)}–${span(end)}`;
  const text = `${range(here)} here is ${range(there)} there`;
  if (!player) return make("span", { className: "mono" }, text);
  const button = make("button", { type: "button", className: "plain mono" }, text);
  button.addEventListener("click", () => player.seek(here[0]));
  return button;
}
