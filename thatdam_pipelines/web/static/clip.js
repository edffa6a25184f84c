// A clip's page: its player, its lineage, and what people say of it.

import { get, send } from "./api.js";
import { $, isTyping, make } from "./elements.js";
import { showCuration } from "./curation.js";
import { lineage } from "./lineage.js";
import { Player } from "./player.js";
import { showRelations } from "./relations.js";

const { media } = $("article").dataset;
const at = Number(new URLSearchParams(location.search).get("t")) || 0;
const address = `/api/v1/media/${media}`;
let player = null;

async function start() {
  const detail = await get(address);
  if ($(".player")) await openPlayer(detail);
  showCuration($("#said"), detail);
  await showRelations($("#relations"), media, detail.kind === "image" ? null : player);
}

async function openPlayer({ kind, facts, proxy, links }) {
  player = new Player($(".player"));
  const clip = { ...facts, kind, duration_s: facts?.duration_s ?? proxy.duration_s };
  if ($("#alike")) {
    player.video.addEventListener("timeupdate", () => ($("#alike").href = `/?like=${media}@${player.time.toFixed(3)}`));
  }
  await player.load({ clip, links, at, wave: true });
}

async function showStages() {
  const section = $("#stages");
  try {
    const { items } = await get(`${address}/stages`);
    section.replaceChildren($("h2", section), lineage(items));
  } catch (error) {
    section.replaceChildren($("h2", section), make("p", { className: "warn" }, `${error.message}. ${error.nextStep ?? ""}`));
  }
}

async function retry({ target }) {
  const told = $("#retry + span");
  target.disabled = true;
  try {
    const { job_id: job } = await send("POST", `/api/v1/batches/${target.dataset.batch}/retry`, {});
    const { run_url: run } = await get(`/api/v1/jobs/${job}`);
    told.replaceChildren("Started: ", make("a", { href: run, target: "_blank", rel: "noopener" }, "the run in Dagster"));
  } catch (error) {
    told.textContent = `${error.message}. ${error.nextStep ?? ""}`;
    target.disabled = false;
  }
}

$("#retry")?.addEventListener("click", retry);
document.addEventListener("keydown", (event) => {
  if (!player || isTyping(event) || $("dialog[open]")) return;
  const key = event.key.toLowerCase();
  const pressing = event.target.closest("button, a, summary") && (key === " " || key === "enter");
  const scrolls = ["arrowup", "arrowdown", "home", "end"].includes(key) && !event.target.closest(".player");
  if (!pressing && !scrolls && player.press(event)) event.preventDefault();
});
start();
showStages();
