// A picture of the grid: a clip, or a moment of one, with the time it shows and why it is there.

import { count, day, span, timecode } from "./figures.js";
import { make } from "./elements.js";
import { drawTile, sheetOf } from "./scrub.js";

// Whether a picture of it was made: asking for one that is not there would be told as an error.
export const hasPicture = (clip) => !clip || (clip.kind !== "sidecar" && ["proxied", "ready"].includes(clip.status));

// What the grid shows of a clip as a whole.
export const whole = (clip) => ({ clip, media_id: clip.media_id, links: clip.links, name: clip.name, start: 0, end: clip.duration_s ?? 0 });

// item: {clip, links, name, start, end, reasons, score}; a clip alone has no score.
export function card(item) {
  const picture = make("div", { className: "picture" });
  const { clip } = item;
  if (hasPicture(clip)) {
    const source = item.score === undefined ? item.links.frame : `${item.links.frame}?t=${item.start}`;
    const image = make("img", { src: source, alt: "", loading: "lazy", decoding: "async" });
    image.addEventListener("error", () => image.replaceWith(absent(clip)));
    picture.append(image);
  } else picture.append(absent(clip));
  const isMoving = Boolean(clip?.duration_s);
  const at = make("span", { className: "at" });
  if (item.score !== undefined && isMoving) at.textContent = timecode(item.start, clip.frame_rate_fps, clip.timecode);
  picture.append(at);
  if (isMoving) picture.append(make("span", { className: "length" }, span(clip.duration_s)));
  if (item.score !== undefined && isMoving) picture.append(where(item));
  if (clip?.kind === "video" && hasPicture(clip)) scrubs(picture, item, at);
  const link = make(
    "a",
    { href: `${item.links.page}?t=${item.start}`, className: "card", "aria-label": spoken(item) },
    picture,
    make("span", { className: "name" }, make("b", {}, item.name), score(item)),
    make("span", { className: "why" }, ...(item.score === undefined ? facts(clip) : reasons(item.reasons))),
  );
  const alike = make("button", { type: "button", className: "alike", title: "More like this (M)", tabIndex: -1 }, "≈");
  alike.setAttribute("aria-label", `More like ${item.name}`);
  const element = make("li", {}, link, item.clip && clip.kind !== "audio" ? alike : null);
  element.item = item;
  return element;
}

function absent(clip) {
  const said = clip?.failed_reason ? `${clip.failed_stage}: ${clip.failed_reason}` : (clip?.kind ?? "no picture yet");
  return make("span", { className: clip?.failed_reason ? "absent failed" : "absent" }, said);
}

function spoken(item) {
  const at = item.clip?.duration_s && item.score !== undefined ? `, ${timecode(item.start, item.clip.frame_rate_fps)}` : "";
  return `${item.name}${at}${item.reasons?.length ? `, ${item.reasons.join(", ")}` : ""}`;
}

function score(item) {
  if (item.score === undefined) return null;
  const meter = make("meter", { min: 0, max: 1, value: item.score, title: `Score ${item.score.toFixed(2)} of 1` });
  meter.setAttribute("aria-label", "Score");
  return make("span", { className: "score" }, meter, item.score.toFixed(2));
}

// What search marks with brackets stands out.
function reasons(said) {
  return said.map((reason) =>
    make("span", { title: reason }, ...reason.split(/(\[[^\]]*\])/).map((part) => (part.startsWith("[") ? make("mark", {}, part.slice(1, -1)) : part))),
  );
}

function facts(clip) {
  const size = clip.display_width ? `${clip.display_width}×${clip.display_height}` : null;
  const rate = clip.frame_rate_fps ? `${Number(clip.frame_rate_fps.toFixed(3))} fps` : null;
  const scenes = clip.scenes > 1 ? count(clip.scenes, "scene") : null;
  return [
    make("span", {}, [day(clip.shot_utc), clip.camera].filter(Boolean).join(" · ")),
    make("span", {}, [clip.codec, size, rate, scenes].filter(Boolean).join(" · ")),
  ];
}

// A line along the foot of the picture: where in the clip the moment lies.
function where(item) {
  const line = make("i", { className: "where" });
  const length = item.clip.duration_s;
  line.style.left = `${(100 * item.start) / length}%`;
  line.style.width = `${Math.max(2, (100 * (Math.min(item.end, length) - item.start)) / length)}%`;
  return line;
}

function scrubs(picture, item, at) {
  const canvas = make("canvas", { className: "scrub", hidden: true });
  const head = make("i", { className: "head", hidden: true });
  const { clip } = item;
  const resting = at.textContent;
  picture.append(canvas, head);
  let inside = false;
  picture.addEventListener("pointerenter", () => (inside = true));
  picture.addEventListener("pointermove", async (event) => {
    if (event.pointerType === "touch") return;
    const sheet = await sheetOf(item.links);
    if (!sheet || !inside) return;
    const box = picture.getBoundingClientRect();
    const part = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    drawTile(canvas, sheet, part * clip.duration_s);
    canvas.hidden = head.hidden = false;
    head.style.left = `${part * 100}%`;
    at.textContent = timecode(part * clip.duration_s, clip.frame_rate_fps, clip.timecode);
  });
  picture.addEventListener("pointerleave", () => {
    inside = false;
    canvas.hidden = head.hidden = true;
    at.textContent = resting;
  });
}
