// "Is a file missing?": what became of a file that a search did not find.

import { get } from "./api.js";
import { $, make } from "./elements.js";
import { lineage } from "./lineage.js";

const part = $("#missing");
const field = $("[name=subject]", part);
const place = $("#explained", part);

// Opens the question, with what was searched for as the name.
export function offerExplanation(name) {
  part.open = true;
  field.value = name;
  place.replaceChildren();
}

export function withdrawExplanation() {
  part.open = false;
}

$("#explain").addEventListener("submit", async (event) => {
  event.preventDefault();
  const subject = field.value.trim();
  if (!subject) return;
  place.replaceChildren(make("p", { className: "quiet" }, "Looking …"));
  try {
    place.replaceChildren(...told(await get("/api/v1/explain", new URLSearchParams({ subject }))));
  } catch (error) {
    place.replaceChildren(make("p", { className: "warn" }, `${error.message}. ${error.nextStep ?? ""}`));
  }
});

function told({ media_id: media, batch_id: batch, paths, stages }) {
  const links = [
    media ? make("a", { href: `/clips/${media}` }, "Its page") : null,
    batch ? make("a", { href: `/library?batch=${batch}` }, `Batch ${batch}`) : null,
  ].filter(Boolean);
  return [make("p", { className: "path" }, paths.join(", ")), make("p", { className: "row" }, ...links), lineage(stages)];
}
