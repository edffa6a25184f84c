// What the pages ask of this server. A refusal becomes a Problem with the next step.

export class Problem extends Error {
  constructor(status, body) {
    super(body.detail ?? `The server answered ${status}`);
    this.status = status;
    this.nextStep = body.next_step ?? "";
  }
}

const ROLES = ["viewer", "editor", "admin"];
let session = null;

// Whether who looks at the page has this role, or a greater one: what they may not is not offered.
export const may = (role) => ROLES.indexOf(document.documentElement.dataset.role) >= ROLES.indexOf(role);

export async function get(path, parameters = null, signal = undefined) {
  const query = parameters?.toString();
  return (await ask(query ? `${path}?${query}` : path, { signal })).json();
}

// Values go as JSON, a form as it is. Answers what the server says, {} when that is nothing.
export async function send(method, path, body, signal = undefined) {
  const form = body instanceof FormData;
  const answer = await change(method, path, form ? {} : { "Content-Type": "application/json" }, form ? body : JSON.stringify(body), signal);
  return answer.json().catch(() => ({}));
}

// A change with headers and a body of its own; gives the whole answer.
export async function change(method, path, headers, body, signal = undefined) {
  session ??= get("/api/v1/session");
  const { csrf_token: token } = await session;
  return ask(path, { method, headers: { ...headers, ...(token ? { "X-CSRF-Token": token } : {}) }, body, signal });
}

async function ask(path, request) {
  let answer;
  try {
    answer = await fetch(path, request);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, { detail: "The server does not answer", next_step: "Is `thatdam up` running?" });
  }
  if (!answer.ok) throw new Problem(answer.status, await answer.json().catch(() => ({})));
  return answer;
}
