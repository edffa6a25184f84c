// Rights of many clips: what is filled in is set, what is left empty stays as it is.

import { make } from "./elements.js";
import { count } from "./figures.js";

const FIELDS = { owner: "Owner", licence: "Licence", releases: "Releases, with commas between", rights_expire: "Rights expire" };

// onSet(change): as the API takes it.
export function askRights(clips, onSet) {
  const fields = Object.entries(FIELDS).map(([name, title]) => {
    const input = make("input", { name, type: name === "rights_expire" ? "date" : "text", maxLength: 500, autocomplete: "off" });
    return make("label", { className: "field" }, title, input);
  });
  const cancel = make("button", { type: "button", className: "plain" }, "Cancel");
  const form = make("form", { method: "dialog", className: "rights" }, ...fields, make("p", { className: "row" }, make("button", {}, `Set for ${count(clips, "clip")}`), cancel));
  const title = make("h2", { id: "rights-title" }, "Rights");
  const dialog = make("dialog", {}, title, make("p", { className: "quiet" }, "What is left empty stays as it is."), form);
  dialog.setAttribute("aria-labelledby", title.id);
  cancel.addEventListener("click", () => dialog.close());
  form.addEventListener("submit", () => {
    const given = [...new FormData(form)].map(([name, value]) => [name, value.trim()]).filter(([, value]) => value);
    const change = Object.fromEntries(given.map(([name, value]) => [name, name === "releases" ? value.split(",").map((one) => one.trim()).filter(Boolean) : value]));
    if (given.length) onSet(change);
  });
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
