// What the pages ask of this server. A refusal becomes a Problem with the next step.

export class Problem extends Error {
  constructor(status, body) {
    super(body.detail ?? `The server answered ${status}`);
    this.status = status;
    this.nextStep = body.next_step ?? "";
  }
}

let session = null;

export function get(path, parameters = null, signal = undefined) {
  const query = parameters?.toString();
  return ask(query ? `${path}?${query}` : path, { signal });
}

export async function send(method, path, body, signal = undefined) {
  const headers = { "X-CSRF-Token": await csrfToken() };
  const form = body instanceof FormData;
  if (!form) headers["Content-Type"] = "application/json";
  return ask(path, { method, headers, body: form ? body : JSON.stringify(body), signal });
}

async function csrfToken() {
  session ??= ask("/api/v1/session");
  return (await session).csrf_token ?? "";
}

async function ask(path, request) {
  let answer;
  try {
    answer = await fetch(path, request);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, { detail: "The server does not answer", next_step: "Is `thatdam up` running?" });
  }
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Problem(answer.status, body);
  return body;
}
