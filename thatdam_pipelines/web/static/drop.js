// Footage that is dropped on a page: uploaded file by file, then followed until it can be found.

import { send } from "./api.js";
import { $, make } from "./elements.js";
import { bytes, count } from "./figures.js";
import { upload } from "./tus.js";

const AT_ONCE = 3;

// What is chosen by the button is taken as what is dropped.
export function takeChosen(input) {
  input.addEventListener("change", () => {
    const files = [...input.files].map((file) => ({ file, path: file.name }));
    input.value = "";
    if (files.length) new Arrival(files).run();
  });
}

export function takeDrops() {
  const veil = make("div", { className: "veil", hidden: true }, make("p", {}, "Drop to take it into the library"));
  document.body.append(veil);
  let inside = 0;
  const carries = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  const show = (depth) => {
    inside = Math.max(0, depth);
    veil.hidden = inside === 0;
  };
  document.addEventListener("dragenter", (event) => carries(event) && show(inside + 1));
  document.addEventListener("dragleave", (event) => carries(event) && show(inside - 1));
  document.addEventListener("dragover", (event) => carries(event) && event.preventDefault());
  document.addEventListener("drop", async (event) => {
    show(0);
    if (!carries(event) || event.defaultPrevented) return;
    event.preventDefault();
    const files = await filesOf(event.dataTransfer);
    if (files.length) new Arrival(files).run();
  });
}

// Files with the path they have below what was dropped; folders are walked.
async function filesOf(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files].map((file) => ({ file, path: file.name }));
  return (await Promise.all(entries.map(walk))).flat();
}

async function walk(entry) {
  if (entry.isFile) {
    const file = await new Promise((found, failed) => entry.file(found, failed));
    return [{ file, path: entry.fullPath.replace(/^\//, "") }];
  }
  const reader = entry.createReader();
  const files = [];
  for (;;) {
    const some = await new Promise((found, failed) => reader.readEntries(found, failed));
    if (!some.length) return files;
    files.push(...(await Promise.all(some.map(walk))).flat());
  }
}

class Arrival {
  #sent = new Map();

  constructor(files) {
    this.files = files;
    this.total = files.reduce((sum, { file }) => sum + file.size, 0);
    this.title = make("b", {}, count(files.length, "file"));
    this.line = make("p", { className: "quiet", role: "status" }, "Uploading …");
    this.meter = make("progress", { max: Math.max(1, this.total), value: 0 });
    this.meter.setAttribute("aria-label", "Uploaded");
    const close = make("button", { type: "button", className: "plain" }, "×");
    close.setAttribute("aria-label", "Hide");
    this.element = make("section", { className: "arrival" }, this.title, close, this.meter, this.line);
    this.element.setAttribute("aria-label", "Upload");
    close.addEventListener("click", () => this.element.remove());
    tray().append(this.element);
  }

  async run() {
    try {
      const group = crypto.randomUUID();
      const waiting = [...this.files];
      const worker = async () => {
        for (let next = waiting.shift(); next; next = waiting.shift()) {
          const { file, path } = next;
          await upload(file, path, group, (sent) => this.#show(path, sent));
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE }, worker));
      const { batches } = await send("POST", `/api/v1/uploads/groups/${group}`, {});
      this.#follow(new Set(batches));
    } catch (error) {
      this.#say(`${error.message}. ${error.nextStep ?? ""}`, true);
    }
  }

  #show(path, sent) {
    this.#sent.set(path, sent);
    const all = [...this.#sent.values()].reduce((sum, one) => sum + one, 0);
    this.meter.value = all;
    this.#say(`Uploading: ${bytes(all)} of ${bytes(this.total)}`);
  }

  #follow(batches) {
    if (!batches.size) return this.#say("All of it is in the library already.");
    const states = new Map([...batches].map((id) => [id, null]));
    this.meter.removeAttribute("value");
    this.#say("Uploaded. Waiting for its run …");
    const events = new EventSource("/api/v1/events");
    events.addEventListener("batch", ({ data }) => {
      const batch = JSON.parse(data);
      if (!states.has(batch.batch_id)) return;
      states.set(batch.batch_id, batch);
      const known = [...states.values()];
      if (!this.element.isConnected || (known.every(Boolean) && this.#tell(known))) events.close();
    });
  }

  // Says how far the batches are; whether that was the end.
  #tell(batches) {
    const has = (stage) => batches.every(({ stages }) => stages[stage]);
    const failed = batches.some(({ state }) => state === "failed");
    const done = batches.every(({ state }) => state === "done" || state === "failed");
    if (failed) this.#say("A run failed: see Status.", true);
    else if (has("embeddings_l2")) this.#say("Every scene can be found.");
    else if (done) this.#say("It can be found. Its scenes are being looked at …");
    else if (has("probes")) this.#say("Read. Being indexed …");
    else if (has("raw_media")) this.#say("Stored and verified. Being read …");
    if (done) {
      this.#link(batches);
      document.dispatchEvent(new Event("arrived"));
    }
    const end = failed || has("embeddings_l2");
    if (end) this.meter.remove();
    return end;
  }

  #link(batches) {
    $("a", this.element)?.remove();
    const query = new URLSearchParams(batches.map(({ batch_id: id }) => ["batch", id]));
    this.element.append(make("a", { href: `/library?${query}` }, "Show"));
  }

  #say(text, bad = false) {
    this.line.textContent = text;
    this.line.classList.toggle("bad", bad);
  }
}

function tray() {
  let place = $("#tray");
  if (!place) {
    place = make("aside", { id: "tray", className: "tray" });
    place.setAttribute("aria-label", "Uploads");
    document.body.append(place);
  }
  return place;
}
