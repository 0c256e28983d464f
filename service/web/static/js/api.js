// The HTTP contract, from the page's side: a session cookie, and the XSRF token on what changes things.

let xsrf = "";
let onSignedOut = () => {};
let session = new AbortController(); // ends what is under way when the session ends

/** An answer that is no success, as application/problem+json tells it. */
export class Problem extends Error {
  constructor(status, document) {
    super(document.detail ?? `HTTP ${status}`);
    this.status = status;
    this.errors = document.errors ?? [];
  }
}

export function whenSignedOut(call) {
  onSignedOut = call;
}

/** Whether there is a session; also learns the token that goes with it. */
export async function loadSession() {
  const session = await (await ask("GET", "/session")).json();
  xsrf = session.xsrf ?? "";
  return session.is_signed_in;
}

/** Sign in; Problem 401 when the token is wrong. */
export async function signIn(token) {
  xsrf = (await (await ask("POST", "/session", { json: { token } })).json()).xsrf;
}

/** Whatever else was asked for and is not answered yet is given up first: nobody is signed in for it. */
export async function signOut() {
  endRequests();
  await ask("DELETE", "/session");
  xsrf = "";
}

/** Whether an error only says that a request was given up. */
export function wasGivenUp(error) {
  return error.name === "AbortError";
}

function endRequests() {
  session.abort();
  session = new AbortController();
}

/** Make a request; Problem when it is refused, TypeError when nobody can be reached. */
export async function ask(method, path, { json, body, headers = {}, signal } = {}) {
  const given = { ...headers };
  if (json !== undefined) given["Content-Type"] = "application/json";
  if (method !== "GET") given["X-XSRFToken"] = xsrf;
  const response = await fetch(path, {
    method,
    signal: signal ? AbortSignal.any([signal, session.signal]) : session.signal,
    headers: given,
    body: json === undefined ? body : JSON.stringify(json),
    cache: "no-store",
    credentials: "same-origin",
    redirect: "error",
  });
  if (response.ok) return response;
  const problem = new Problem(response.status, await response.json().catch(() => ({})));
  if (response.status === 401 && path !== "/session") {
    endRequests();
    onSignedOut();
  }
  throw problem;
}

/** `query`: states, labels (KEY:VALUE), q, since and until, of those that are wanted. */
export async function listJobs({ states = [], labels = [], limit = 50, cursor, q, since, until } = {}) {
  const query = new URLSearchParams({ limit });
  for (const state of states) query.append("state", state);
  for (const label of labels) query.append("label", label);
  for (const [name, value] of Object.entries({ q, since, until, cursor })) {
    if (value) query.append(name, value);
  }
  return (await ask("GET", `/v1/jobs?${query}`)).json();
}

export async function getJob(id) {
  return (await ask("GET", `/v1/jobs/${id}`)).json();
}

export async function submit(spec) {
  return (await ask("POST", "/v1/jobs", { json: spec })).json();
}

/** Run a job again, with some fields of its spec changed. */
export async function rerun(id, changes = {}) {
  return (await ask("POST", `/v1/jobs/${id}/rerun`, { json: changes })).json();
}

export async function cancel(id) {
  return (await ask("POST", `/v1/jobs/${id}/cancel`)).json();
}

export async function sendSignal(id, signal) {
  await ask("POST", `/v1/jobs/${id}/signal`, { json: { signal } });
}

export async function forget(id) {
  await ask("DELETE", `/v1/jobs/${id}`);
}

/** Write to a job's stdin; with `close` that was all. */
export async function sendInput(id, text, close = false) {
  const headers = { "Content-Type": "application/octet-stream" };
  await ask("POST", `/v1/jobs/${id}/stdin${close ? "?close=true" : ""}`, { body: text, headers });
}
