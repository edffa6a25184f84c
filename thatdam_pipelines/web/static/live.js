// A page of facts that keeps itself true: it is asked for again, and its main part replaced, while it is looked at.

const EVERY_MS = 5000;

async function refresh() {
  if (document.hidden || document.querySelector("dialog[open]")) return;
  const main = document.querySelector("main");
  const answer = await fetch(location.href).catch(() => null);
  if (!answer?.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
  const busy = main.contains(document.activeElement) && document.activeElement !== main;
  if (fresh && !busy && fresh.innerHTML !== main.innerHTML) main.replaceChildren(...fresh.childNodes);
}

setInterval(refresh, EVERY_MS);
