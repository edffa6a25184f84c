// What every page has: the theme switch, help, the way to the search box, and taking in what is dropped.

import { may, send } from "./api.js";
import { takeChosen, takeDrops } from "./drop.js";
import { $, isTyping } from "./elements.js";

const THEMES = ["", "light", "dark"];
const root = document.documentElement;

function nextTheme() {
  root.dataset.theme = THEMES[(THEMES.indexOf(root.dataset.theme) + 1) % THEMES.length];
  localStorage.setItem("theme", root.dataset.theme);
}

$("#theme").addEventListener("click", nextTheme);
$("#help").addEventListener("click", () => $("#keyboard").showModal());
$("#log-out")?.addEventListener("click", async () => {
  await send("POST", "/logout", {});
  location.href = "/login";
});
document.addEventListener("keydown", (event) => {
  if (isTyping(event) || $("#keyboard").open) return;
  if (event.key === "?") $("#keyboard").showModal();
  else if (event.key === "/" && !$("dialog[open]")) {
    if ($("#q")) $("#q").select();
    else location.href = "/";
  } else return;
  event.preventDefault();
});
if (may("editor")) takeDrops();
if ($("#add")) takeChosen($("#add"));
