// A page of facts that keeps itself true: it is asked for again while it is looked at, and what differs is changed.

const EVERY_MS = 5000;

async function refresh() {
  if (document.hidden || document.querySelector("dialog[open]")) return;
  const answer = await fetch(location.href).catch(() => null);
  if (!answer?.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
  if (fresh) become(document.querySelector("main"), fresh);
}

// Whatever stays as it is is not touched: a live picture goes on, and what has the focus keeps it.
function become(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  const alike = old.nodeName === fresh.nodeName && old.childNodes.length === fresh.childNodes.length;
  if (!alike || !old.childNodes.length) return void old.replaceWith(fresh);
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  const [was, is] = [[...old.childNodes], [...fresh.childNodes]];
  was.forEach((node, at) => become(node, is[at]));
}

setInterval(refresh, EVERY_MS);
