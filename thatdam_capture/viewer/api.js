// What the page asks of the recorder. A refusal becomes a Problem with the next step.

export class Problem extends Error {
  constructor(status, body) {
    super(body.detail ?? `The recorder answered ${status}`);
    this.status = status;
    this.nextStep = body.next_step ?? "";
  }
}

export class Api {
  #token = sessionStorage.getItem("token") ?? "";

  set token(value) {
    this.#token = value;
    sessionStorage.setItem("token", value);
  }

  get(path) {
    return this.#ask("GET", path);
  }

  post(path, body = {}) {
    return this.#ask("POST", path, JSON.stringify(body), "application/json");
  }

  async postSdp(path, sdp) {
    const answer = await this.#fetch("POST", path, sdp, "application/sdp");
    return { sdp: await answer.text(), location: answer.headers.get("Location") };
  }

  delete(path) {
    return this.#fetch("DELETE", path);
  }

  // An address that a WebSocket can use, which cannot send a token.
  async socket(path, query = {}) {
    const { urls } = await this.post("/v1/sign", { paths: [path] });
    const url = new URL(urls[path], location.href);
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    return new WebSocket(url);
  }

  async #ask(...request) {
    return (await this.#fetch(...request)).json();
  }

  async #fetch(method, path, body, type) {
    const headers = {};
    if (type) headers["Content-Type"] = type;
    if (this.#token) headers.Authorization = `Bearer ${this.#token}`;
    const answer = await fetch(path, { method, headers, body, signal: AbortSignal.timeout(30_000) });
    if (!answer.ok) throw new Problem(answer.status, await answer.json().catch(() => ({})));
    return answer;
  }
}
