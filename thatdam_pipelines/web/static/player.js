// The player: a proxy with its scenes and their tags on a timeline, marks, and an editor's keys.

import { get } from "./api.js";
import { $, make } from "./elements.js";
import { frameAt, span, timecode } from "./figures.js";
import { drawTile, sheetOf } from "./scrub.js";
import { Shuttle } from "./shuttle.js";
import { drawWave } from "./wave.js";

export class Player {
  #scenes = [];
  #tracks = [];
  #marks = { in: null, out: null };
  #serial = 0;

  constructor(element) {
    this.element = element;
    this.video = $("video", element);
    this.shuttle = new Shuttle(this.video, (speed) => this.#showSpeed(speed));
    this.video.addEventListener("timeupdate", () => this.#showTime());
    this.video.addEventListener("seeked", () => this.#showTime());
    this.video.addEventListener("loadedmetadata", () => this.#showTracks());
    this.video.addEventListener("error", () => this.#say("The proxy cannot be played here. Save the original, or look at the clip's stages."));
    this.video.addEventListener("click", () => this.shuttle.toggle());
    $(".toggle", element).addEventListener("click", () => this.shuttle.toggle());
    $(".mark-in", element).addEventListener("click", () => this.mark("in"));
    $(".mark-out", element).addEventListener("click", () => this.mark("out"));
    $(".subtitles", element).addEventListener("click", () => this.toggleSubtitles());
    this.#listenToStrip($(".strip", element));
  }

  get time() {
    return this.video.currentTime;
  }

  get duration() {
    return this.clip?.duration_s || this.video.duration || 0;
  }

  get fps() {
    return this.clip?.frame_rate_fps || 25;
  }

  // clip: {kind, duration_s, frame_rate_fps, timecode, has_audio}; moment: {start, end} to show on the timeline.
  async load({ clip, links, at = 0, moment = null, play = false, wave = false }) {
    const serial = ++this.#serial;
    Object.assign(this, { clip, links });
    this.#marks = { in: null, out: null };
    this.#scenes = [];
    this.#tracks = [];
    this.#say("");
    this.#offerSubtitles(null);
    const still = clip.kind === "image";
    this.element.dataset.kind = clip.kind;
    $(".still", this.element).hidden = !still;
    this.video.hidden = still;
    $(".timeline", this.element).hidden = $(".transport", this.element).hidden = still;
    if (still) {
      this.video.removeAttribute("src");
      $(".still", this.element).src = links.poster;
      return;
    }
    this.video.poster = clip.kind === "audio" ? links.poster : `${links.frame}?t=${at}`;
    this.video.src = links.proxy;
    this.seek(at);
    this.#place($(".moment", this.element), moment?.start ?? null, moment?.end ?? null);
    this.#showTracks();
    this.#showMarks();
    this.#showTime();
    if (play) this.shuttle.forward();
    const canvas = $(".wave", this.element);
    canvas.hidden = true;
    if (wave && clip.has_audio) drawWave(canvas, `${links.self}/waveform.json`).then((drawn) => (canvas.hidden = !drawn || serial !== this.#serial));
    const [{ items }, { tracks }] = await Promise.all([
      get(links.scenes).catch(() => ({ items: [] })),
      get(`${links.self}/timeline`).catch(() => ({ tracks: [] })),
    ]);
    if (serial !== this.#serial) return;
    this.#scenes = items;
    this.#tracks = tracks;
    this.#offerSubtitles(tracks.some((track) => track.name === "said") ? `${links.self}/transcript.vtt` : null);
    this.#showTracks();
    this.#showTime();
  }

  unload() {
    this.#serial++;
    this.shuttle.stop();
    this.video.removeAttribute("src");
    this.video.load();
  }

  seek(seconds) {
    this.video.currentTime = Math.max(0, Math.min(seconds, Math.max(0, this.duration - 0.02)));
    this.#showTime();
  }

  step(frames) {
    this.shuttle.stop();
    this.seek((frameAt(this.time, this.fps) + frames + 0.5) / this.fps);
  }

  toScene(direction) {
    const starts = this.#scenes.map((scene) => scene.start_s);
    const to = direction > 0 ? starts.find((start) => start > this.time + 0.01) : starts.findLast((start) => start < this.time - 0.5);
    if (to !== undefined) this.seek(to + 0.001);
  }

  mark(side) {
    const other = side === "in" ? "out" : "in";
    this.#marks[side] = this.time;
    const { in: start, out: end } = this.#marks;
    if (start !== null && end !== null && start >= end) this.#marks[other] = null;
    this.#showMarks();
  }

  clearMarks() {
    this.#marks = { in: null, out: null };
    this.#showMarks();
  }

  toggleSubtitles() {
    const [track] = this.video.textTracks;
    if (!track) return;
    localStorage.setItem("subtitles", track.mode === "showing" ? "hidden" : "showing");
    this.#showSubtitles();
  }

  // Whether the key was the player's.
  press(event) {
    if (this.clip?.kind === "image") return false;
    const seconds = event.shiftKey ? 5 : 1;
    const deeds = {
      j: () => this.shuttle.back(), k: () => this.shuttle.stop(), l: () => this.shuttle.forward(), " ": () => this.shuttle.toggle(),
      ",": () => this.step(-1), ".": () => this.step(1), i: () => this.mark("in"), o: () => this.mark("out"), x: () => this.clearMarks(),
      arrowleft: () => this.seek(this.time - seconds), arrowright: () => this.seek(this.time + seconds),
      arrowup: () => this.toScene(-1), arrowdown: () => this.toScene(1), t: () => this.toggleSubtitles(), home: () => this.seek(0), end: () => this.seek(this.duration),
    };
    const deed = deeds[event.key.toLowerCase()];
    deed?.();
    return deed !== undefined;
  }

  #offerSubtitles(source) {
    this.video.replaceChildren(...(source ? [make("track", { kind: "subtitles", src: source })] : []));
    $(".subtitles", this.element).hidden = !source;
    this.#showSubtitles();
  }

  #showSubtitles() {
    const [track] = this.video.textTracks;
    if (track) track.mode = localStorage.getItem("subtitles") ?? "hidden";
    $(".subtitles", this.element).setAttribute("aria-pressed", String(track?.mode === "showing"));
  }

  #say(trouble) {
    const place = $(".trouble", this.element);
    place.textContent = trouble;
    place.hidden = !trouble;
  }

  #showSpeed(speed) {
    const button = $(".toggle", this.element);
    button.textContent = speed === 0 ? "▶" : "❚❚";
    button.setAttribute("aria-label", speed === 0 ? "Play" : "Pause");
    $(".speed", this.element).hidden = speed === 0 || speed === 1;
    $(".speed", this.element).textContent = `${speed < 0 ? "−" : ""}${Math.abs(speed)}×`;
    this.element.dataset.speed = speed;
  }

  #showTime() {
    const shown = timecode(this.time, this.fps, this.clip?.timecode);
    const strip = $(".strip", this.element);
    $(".timecode", this.element).textContent = shown;
    $(".length", this.element).textContent = span(this.duration);
    strip.setAttribute("aria-valuemax", this.duration.toFixed(2));
    strip.setAttribute("aria-valuenow", this.time.toFixed(2));
    strip.setAttribute("aria-valuetext", shown);
    if (this.duration) $(".strip > .head", this.element).style.left = `${(100 * this.time) / this.duration}%`;
    const scene = this.#scenes.findLast((one) => one.start_s <= this.time);
    $(".tags", this.element).replaceChildren(...(scene?.tags ?? []).slice(0, 6).map((tag) => make("a", { className: "tag", href: `/?tag=${encodeURIComponent(tag)}` }, tag)));
  }

  #showTracks() {
    const parts = this.#scenes.map((scene) => {
      const part = make("span", { title: scene.tags.join(", ") }, scene.tags.slice(0, 3).join(" "));
      part.dataset.transition = scene.transition_in;
      this.#place(part, scene.start_s, scene.end_s);
      return part;
    });
    $(".scenes", this.element).replaceChildren(...parts);
    $(".tracks", this.element).replaceChildren(...this.#tracks.map((track) => this.#lane(track)));
    this.element.style.setProperty("--tracks", this.#tracks.length);
  }

  #lane({ name, title, items }) {
    const parts = items.map(({ start_s: start, end_s: end, text, strength }) => {
      const part = make("span", { title: text || title }, text);
      if (strength !== null) part.style.opacity = 0.08 + 0.92 * strength;
      this.#place(part, start, end);
      return part;
    });
    return make("div", { className: "lane", dataset: { track: name } }, ...parts, make("b", {}, title));
  }

  #showMarks() {
    const { in: start, out: end } = this.#marks;
    const text = (time, name) => (time === null ? name : timecode(time, this.fps, this.clip?.timecode));
    $(".mark-in span", this.element).textContent = text(start, "in");
    $(".mark-out span", this.element).textContent = text(end, "out");
    const any = start !== null || end !== null;
    this.#place($(".marked", this.element), any ? (start ?? 0) : null, any ? (end ?? this.duration) : null);
  }

  #place(element, start, end) {
    element.hidden = start === null || !this.duration;
    if (element.hidden) return;
    element.style.left = `${(100 * start) / this.duration}%`;
    element.style.width = `${(100 * (Math.min(end, this.duration) - start)) / this.duration}%`;
  }

  #listenToStrip(strip) {
    const peek = $(".peek", this.element);
    const timeAt = (event) => {
      const box = strip.getBoundingClientRect();
      return this.duration * Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    };
    strip.addEventListener("pointerdown", (event) => {
      strip.setPointerCapture(event.pointerId);
      this.seek(timeAt(event));
    });
    strip.addEventListener("pointermove", async (event) => {
      const time = timeAt(event);
      if (strip.hasPointerCapture(event.pointerId)) this.seek(time);
      const sheet = this.clip?.kind === "video" ? await sheetOf(this.links) : null;
      if (!sheet || !strip.matches(":hover")) return;
      drawTile($("canvas", peek), sheet, time);
      $("span", peek).textContent = timecode(time, this.fps, this.clip.timecode);
      peek.hidden = false;
      const half = peek.offsetWidth / 2;
      peek.style.left = `${Math.max(half, Math.min(strip.offsetWidth - half, (strip.offsetWidth * time) / this.duration))}px`;
    });
    strip.addEventListener("pointerleave", () => (peek.hidden = true));
  }
}
