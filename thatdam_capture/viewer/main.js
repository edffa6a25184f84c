// The page: asks the recorder for its state, shows it, and passes on what is pressed.

import { Api, Problem } from "./api.js";
import { bytes, clock, nextTake, span } from "./figures.js";
import { Painter } from "./painter.js";
import { Tile } from "./tile.js";

const POLL_MS = 1000;
const LOST_MS = 4000;
const SMALLEST = 260;
const KEYS = { f: "falseColour", z: "zebra", p: "peaking", h: "histogram", w: "waveform" };
const THEMES = ["", "light", "dark"];

const $ = (id) => document.getElementById(id);
const stored = JSON.parse(localStorage.getItem("viewer") ?? "{}");
const overlays = { falseColour: false, zebra: false, peaking: false, histogram: false, waveform: false, zebraLevel: 0.95, ...stored.overlays };
const api = new Api();
const painter = new Painter();
const tiles = new Map();
let status = null, answered = 0, solo = null, webrtc = stored.webrtc ?? false, theme = stored.theme ?? "";
let notice = null, asking = null, noticeUntil = 0;

function store() {
  localStorage.setItem("viewer", JSON.stringify({ overlays, webrtc, theme, take: $("take").value }));
}

// --- what the recorder says -------------------------------------------------

async function refresh() {
  asking ??= ask().finally(() => (asking = null));
  await asking;
}

async function ask() {
  try {
    status = await api.get("/v1/status");
    answered = performance.now();
    show();
  } catch (error) {
    if (error instanceof Problem && error.status === 401) await login();
  }
  showBanner();
}

function show() {
  $("host").textContent = status.host;
  $("mode").hidden = status.mode !== "proxy";
  const { free_bytes: free, total_bytes: total, ok, seconds_left: left } = status.disk;
  $("disk-free").textContent = bytes(free);
  $("disk-time").textContent = left == null ? "" : `${span(left)} left`;
  $("disk-meter").value = total ? 1 - free / total : 0;
  $("disk").toggleAttribute("data-low", !ok || (left != null && left < 600));
  $("webrtc").disabled = !status.webrtc;
  $("webrtc").title = status.webrtc ? "WebRTC: less to send over a weak network, more work for the recorder" : "Needs the extra webrtc on the recorder";
  const { limit, ...kinds } = status.viewers;
  const watching = Object.values(kinds).reduce((sum, count) => sum + count, 0);
  $("viewers").textContent = `${watching} of ${limit} live views · thatdam ${status.version}`;
  showPeers();
  showCameras();
  const recording = status.cameras.filter((camera) => camera.session);
  $("record-all").disabled = status.mode === "proxy" || !status.cameras.some((camera) => camera.online && !camera.session);
  $("stop-all").disabled = recording.length === 0;
  const longest = Math.max(0, ...recording.map((camera) => camera.stats.elapsed_s));
  document.title = recording.length ? `● ${clock(longest)} · ${status.host}` : `Capture · ${status.host}`;
}

function showPeers() {
  $("peers").replaceChildren(
    ...status.peers.flatMap((peer, at) => {
      const link = document.createElement("a");
      link.href = peer.url;
      link.textContent = peer.mode === "proxy" ? `${peer.name} (preview)` : peer.name;
      return [at ? ", " : "Also here: ", link];
    }),
  );
}

function showCameras() {
  const known = new Set(status.cameras.map((camera) => camera.id));
  for (const [id, tile] of tiles) {
    if (known.has(id)) continue;
    tile.close();
    tiles.delete(id);
  }
  status.cameras.forEach((camera, at) => {
    if (!tiles.has(camera.id)) {
      const tile = new Tile({
        template: $("camera"), api, painter, overlays,
        onRecord: (one) => record([one.id]), onStop: (one) => stop([one.session.id]), onSolo: toggleSolo,
      });
      tiles.set(camera.id, tile);
      $("cameras").append(tile.element);
    }
    const tile = tiles.get(camera.id);
    tile.update(camera, at + 1);
    if (status.mode === "proxy") tile.element.querySelector(".row .record").hidden = true;
  });
  look();
}

// Which pictures are wanted now: none of a hidden page, one when a camera is alone.
function look() {
  if (solo && !tiles.has(solo)) solo = null;
  for (const [id, tile] of tiles) {
    const seen = solo === null || solo === id;
    tile.element.hidden = !seen;
    tile.watch(seen && !document.hidden, webrtc && status.webrtc);
  }
  layOut();
}

// As large as lets every camera be seen at once; on a phone, or where they would be too small, the page scrolls.
function layOut() {
  const shown = [...tiles.values()].map((tile) => tile.element).filter((element) => !element.hidden);
  const cameras = $("cameras");
  if (!shown.length) return;
  const style = getComputedStyle(cameras);
  const gap = parseFloat(style.gap);
  const width = cameras.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
  const height = innerHeight - cameras.getBoundingClientRect().top - scrollY - document.querySelector(".foot").offsetHeight - parseFloat(style.paddingBottom) - 2;
  const besides = Math.max(...shown.map((one) => one.offsetHeight - one.querySelector(".monitor").offsetHeight));
  let best = { columns: 1, side: 0 };
  for (let columns = 1; columns <= shown.length; columns++) {
    const rows = Math.ceil(shown.length / columns);
    const high = ((height - gap * (rows - 1)) / rows - besides) * (16 / 9);
    const side = Math.floor(Math.min((width - gap * (columns - 1)) / columns, high));
    if (side > best.side) best = { columns, side };
  }
  const fits = best.side >= SMALLEST && width > 620;
  if (fits) cameras.style.setProperty("--columns", `repeat(${best.columns}, ${best.side}px)`);
  else cameras.style.removeProperty("--columns");
}

function showBanner() {
  const lines = [];
  const silent = performance.now() - answered;
  const lost = silent > LOST_MS && answered > 0;
  if (lost) lines.push(`The recorder has not answered for ${Math.round(silent / 1000)} s. What is shown may be old.`);
  if (notice && performance.now() < noticeUntil) lines.push(notice);
  if (status && !lost) lines.push(...status.problems);
  if (status && !lost && !status.disk.ok && !status.problems.includes(status.disk.reason)) lines.push(status.disk.reason);
  $("banner").hidden = lines.length === 0;
  $("banner").toggleAttribute("data-grave", lost || (status !== null && !status.disk.ok));
  const text = lines.join("\n");
  if ($("banner").textContent !== text) $("banner").textContent = text;
}

// --- what is pressed --------------------------------------------------------

async function press(work) {
  try {
    await work();
    notice = null;
  } catch (error) {
    notice = [error.message, error.nextStep].filter(Boolean).join(". ");
    noticeUntil = performance.now() + 12_000;
  }
  showBanner();
  await refresh();
}

function record(cameraIds) {
  const take = $("take");
  if (!cameraIds.length) return;
  if (!take.checkValidity()) return take.reportValidity();
  return press(async () => {
    await api.post("/v1/record", { camera_ids: cameraIds, group: take.value || null });
    take.value = nextTake(take.value);
    store();
  });
}

const recordAll = () => record(status.cameras.filter((camera) => camera.online && !camera.session).map(({ id }) => id));

function stop(sessions) {
  return press(() => Promise.all(sessions.map((session) => api.post(`/v1/record/${encodeURIComponent(session)}/stop`))));
}

const stopAll = () => stop(status.cameras.filter((camera) => camera.session).map((camera) => camera.session.id));

function toggleSolo(id) {
  solo = solo === id ? null : id;
  look();
}

function toggleOverlay(name) {
  if (!painter.works && KEYS.h !== name && KEYS.w !== name) return;
  overlays[name] = !overlays[name];
  showOverlays();
  store();
}

function showOverlays() {
  for (const button of document.querySelectorAll("[data-overlay]")) {
    button.setAttribute("aria-pressed", String(overlays[button.dataset.overlay]));
  }
  $("zebra-level").value = String(overlays.zebraLevel);
  for (const tile of tiles.values()) tile.overlaysChanged();
  layOut();
}

function toggleWebRtc() {
  if (!status?.webrtc) return;
  webrtc = !webrtc;
  showWebRtc();
  store();
  look();
}

const showWebRtc = () => $("webrtc").setAttribute("aria-pressed", String(webrtc));

function nextTheme() {
  theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
  showTheme();
  store();
}

function showTheme() {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
}

function login() {
  const dialog = $("login");
  if (!dialog.open) dialog.showModal();
  return new Promise((done) => {
    dialog.addEventListener("close", () => {
      api.token = $("token").value;
      $("token").value = "";
      done();
    }, { once: true });
  });
}

function pressedKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (event.target.closest("input, select, dialog") || document.querySelector("dialog[open]") || !status) return;
  const digit = /^Digit([1-9])$/.exec(event.code)?.[1];
  const key = event.key.toLowerCase();
  if (digit) {
    const camera = status.cameras[Number(digit) - 1];
    if (!camera) return;
    if (!event.shiftKey) toggleSolo(camera.id);
    else if (camera.session) stop([camera.session.id]);
    else record([camera.id]);
  } else if (KEYS[key]) toggleOverlay(KEYS[key]);
  else if (key === "r") recordAll();
  else if (key === "s") stopAll();
  else if (key === "b") toggleWebRtc();
  else if (key === "d") nextTheme();
  else if (key === "?") $("keyboard").showModal();
  else if (key === "escape" && solo) toggleSolo(solo);
  else return;
  event.preventDefault();
}

// Events say at once what the next poll would say a second later.
async function listen() {
  let seq = null;
  for (;;) {
    try {
      const socket = await api.socket("/v1/events", seq === null ? {} : { since: seq });
      socket.onmessage = ({ data }) => {
        seq = JSON.parse(data).seq;
        refresh();
      };
      await new Promise((closed) => (socket.onclose = closed));
    } catch {
      // The poll says that the recorder is away.
    }
    await new Promise((later) => setTimeout(later, 2000));
  }
}

async function poll() {
  for (;;) {
    if (!document.hidden) await refresh();
    await new Promise((later) => setTimeout(later, POLL_MS));
  }
}

$("take").value = stored.take ?? "";
$("take").addEventListener("change", store);
$("record-all").addEventListener("click", recordAll);
$("stop-all").addEventListener("click", stopAll);
$("webrtc").addEventListener("click", toggleWebRtc);
$("theme").addEventListener("click", nextTheme);
$("help").addEventListener("click", () => $("keyboard").showModal());
$("zebra-level").addEventListener("change", ({ target }) => {
  overlays.zebraLevel = Number(target.value);
  store();
});
for (const button of document.querySelectorAll("[data-overlay]")) {
  button.addEventListener("click", () => toggleOverlay(button.dataset.overlay));
  if (!painter.works && !["histogram", "waveform"].includes(button.dataset.overlay)) button.disabled = true;
}
$("webgl").hidden = painter.works;
document.addEventListener("keydown", pressedKey);
window.addEventListener("resize", layOut);
document.addEventListener("visibilitychange", () => status && look());
setInterval(() => {
  for (const tile of tiles.values()) tile.tick();
  showBanner();
}, 250);
showTheme();
showOverlays();
showWebRtc();
poll().catch((error) => console.error(error));
listen();
