// The stages that a file went through, each with its recipe and its run, or with what is missing.

import { make } from "./elements.js";

export const lineage = (stages) => make("ol", { className: "lineage" }, ...stages.map(stage));

function stage({ stage, state, recipe, at_utc: utc, run_url: run, reason, next_step: next }) {
  const when = utc ? new Date(utc).toLocaleString() : "";
  const told = state === "done" ? [recipe, when].filter(Boolean).join(" · ") : [reason, next].filter(Boolean).join(". ");
  return make(
    "li",
    { dataset: { state } },
    make("span", {}, make("b", {}, stage), state === "done" ? make("span", { className: "unseen" }, "done") : ` ${state}`),
    make("span", { className: "told" }, told),
    run ? make("a", { href: run, target: "_blank", rel: "noopener" }, "run") : make("span", {}),
  );
}
