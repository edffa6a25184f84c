// One camera on the page: its picture, its state, its buttons.

import { bytes, clock } from "./figures.js";
import { FALSE_COLOURS } from "./painter.js";
import { drawHistogram, drawWaveform, measure } from "./scopes.js";
import { FramesSource, WhepSource } from "./sources.js";

const SCOPES_EVERY_MS = 120;
const OLD_PICTURE_MS = 1500;
const WAITING = new Set(["starting", "stalled", "backoff", "stopping", "disk_low"]);
const BAD = new Set(["unplugged", "failed"]);

const WORDS = { recording: "rec", backoff: "no source", disk_low: "disk low", stalled: "no data" };

// A take that nobody named has 32 hex digits; eight tell takes of a day apart.
const shortTake = (group) => (/^[0-9a-f]{32}$/.test(group) ? group.slice(0, 8) : group);

export class Tile {
  #api; #painter; #overlays; #source = null; #webrtc = false; #lastPicture = 0; #lastScopes = 0;
  #camera = null; #received = 0; #part;

  constructor({ template, api, painter, overlays, onRecord, onStop, onSolo }) {
    this.#api = api;
    this.#painter = painter;
    this.#overlays = overlays;
    this.element = template.content.firstElementChild.cloneNode(true);
    this.#part = (name) => this.element.querySelector(`.${name}`);
    this.#part("row").querySelector(".record").addEventListener("click", () => onRecord(this.#camera));
    this.#part("row").querySelector(".stop").addEventListener("click", () => onStop(this.#camera));
    this.#part("solo").addEventListener("click", () => onSolo(this.#camera.id));
    this.#paintKey();
    this.overlaysChanged();
  }

  get recording() {
    return this.#camera?.session != null;
  }

  get camera() {
    return this.#camera;
  }

  #paintKey() {
    const key = this.#part("key");
    FALSE_COLOURS.forEach(({ colour, label }, at) => {
      if (!colour) return;
      const span = document.createElement("span");
      span.textContent = label;
      const [r, g, b] = colour.map((part) => Math.round(part * 255));
      span.style.background = `rgb(${r} ${g} ${b})`;
      span.style.color = 0.3 * r + 0.59 * g + 0.11 * b > 120 ? "#111" : "#fff";
      span.dataset.band = at;
      key.append(span);
    });
  }

  overlaysChanged() {
    const { falseColour, histogram, waveform } = this.#overlays;
    this.#part("key").hidden = !falseColour;
    this.#part("scopes").hidden = !histogram && !waveform;
    this.#part("histogram").hidden = !histogram;
    this.#part("waveform").hidden = !waveform;
    this.#lastScopes = 0;
  }

  // Look at the camera, or stop looking: nobody pays for pictures that are not seen.
  watch(seen, webrtc) {
    if (seen && this.#source && webrtc === this.#webrtc) return;
    if (!seen && !this.#source) return;
    this.#source?.close();
    this.#source = null;
    this.#webrtc = webrtc;
    if (!seen) return;
    const paint = (...picture) => this.#paint(...picture);
    const frames = () => new FramesSource(this.#api, this.#camera.id, paint);
    this.element.dataset.source = webrtc ? "webrtc" : "frames";
    this.#source = webrtc
      ? new WhepSource(this.#api, this.#camera.id, paint, () => {
          this.element.dataset.source = "frames";
          this.#source = frames();
        })
      : frames();
  }

  #paint(drawable, width, height) {
    const now = performance.now();
    this.#lastPicture = now;
    this.element.dataset.pictures = Number(this.element.dataset.pictures ?? 0) + 1;
    if (!this.#part("signal").hidden) this.#part("signal").hidden = true;
    this.#painter.draw(this.#part("picture"), drawable, width, height, this.#overlays);
    const { histogram, waveform } = this.#overlays;
    if ((histogram || waveform) && now - this.#lastScopes >= SCOPES_EVERY_MS) {
      this.#lastScopes = now;
      const measured = measure(drawable);
      if (histogram) drawHistogram(this.#part("histogram"), measured);
      if (waveform) drawWaveform(this.#part("waveform"), measured);
    }
  }

  update(camera, number) {
    this.#camera = camera;
    this.#received = performance.now();
    const { stats, session, state } = camera;
    const set = (name, text) => {
      const part = this.#part(name);
      if (part.textContent !== text) part.textContent = text;
    };
    this.element.dataset.state = state;
    this.element.dataset.camera = camera.id;
    this.element.dataset.tally =
      state === "recording" ? "rec" : BAD.has(state) || !camera.online ? "bad" : WAITING.has(state) ? "wait" : "idle";
    set("number", number <= 9 ? String(number) : "");
    this.#part("number").hidden = number > 9;
    set("name", camera.name);
    this.#part("picture").setAttribute("aria-label", `Live picture of ${camera.name}`);
    set("state", camera.online ? WORDS[state] ?? state : "unplugged");
    set("role", session?.role ?? "");
    const [record, stop] = [this.#part("row").querySelector(".record"), this.#part("row").querySelector(".stop")];
    record.hidden = session != null;
    record.disabled = !camera.online;
    stop.hidden = session == null;
    stop.disabled = state === "stopping";
    set("dropped", String(stats.dropped));
    this.#part("dropped").toggleAttribute("data-bad", stats.dropped > 0);
    this.#part("dropped").toggleAttribute("data-good", stats.dropped === 0 && state === "recording");
    set("frames", stats.frames.toLocaleString("en").replaceAll(",", "\u2009"));
    set("fps", session && stats.fps ? stats.fps.toFixed(2) : "–");
    set("rate", session && stats.elapsed_s > 1 ? `${bytes(stats.bytes / stats.elapsed_s)}/s` : "–");
    set("restarts", String(stats.restarts));
    this.#part("restarts").toggleAttribute("data-bad", stats.restarts > 0);
    set("note", session ? `${shortTake(session.group_id)} · ${session.profile}` : camera.kind);
    this.tick();
  }

  // Between answers of the recorder: the clock goes on, and an old picture is called old.
  tick() {
    const elapsed = this.#part("elapsed");
    elapsed.hidden = !this.recording;
    const { state, stats } = this.#camera;
    const since = state === "recording" ? (performance.now() - this.#received) / 1000 : 0;
    elapsed.textContent = clock(stats.elapsed_s + since);
    const age = performance.now() - this.#lastPicture;
    const signal = this.#part("signal");
    signal.hidden = !this.#source || (this.#lastPicture > 0 && age < OLD_PICTURE_MS);
    if (signal.hidden) return;
    const fault = WAITING.has(state) || BAD.has(state) ? stats.last_error : null;
    const old = this.#lastPicture ? `No new picture for ${Math.round(age / 1000)} s` : "Waiting for a picture";
    signal.textContent = this.#camera.online ? fault ?? old : "Unplugged";
  }

  close() {
    this.watch(false, false);
    this.element.remove();
  }
}
