// Where one is. The address says it all: what is shown can be kept, sent, and gone back to.

const JOB = /^\/jobs\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;
const OLD = /^#(\/jobs\/[0-9a-f-]{36})$/; // as it was written at first

let on = { leave() {}, arrive() {} };

export function jobAddress(id) {
  return `/jobs/${id}`;
}

/** Return {name: "list", query}, {name: "job", id} or {name: "nothing"}. */
export function where() {
  const old = OLD.exec(location.hash);
  if (old) history.replaceState(null, "", old[1]);
  const id = JOB.exec(location.pathname)?.[1];
  if (id) return { name: "job", id };
  return location.pathname === "/" ? { name: "list", query: new URLSearchParams(location.search) } : { name: "nothing" };
}

/** `leave()` and `arrive()` are called as places change; links in the page lead there without loading anything. */
export function follow(call) {
  on = call;
  history.scrollRestoration = "manual";
  addEventListener("popstate", () => on.arrive());
  addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href^='/']");
    const isPlain = !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey && event.button === 0;
    if (!link || link.download || !isPlain || event.defaultPrevented) return;
    event.preventDefault();
    if (link.dataset.back !== undefined) goBack();
    else go(link.pathname + link.search);
  });
}

/** Go to an address; one that leaves the list remembers it. */
export function go(address) {
  const here = location.pathname + location.search;
  on.leave();
  if (address !== here) history.pushState(location.pathname === "/" ? { list: here } : null, "", address);
  on.arrive();
}

/** The list that one came from. */
export function listAddress() {
  return history.state?.list ?? "/";
}

/** Go back to the list as it was left. */
export function goBack() {
  if (history.state?.list) history.back();
  else go("/");
}

/** Say what the list shows; `isNew` makes it a place of its own to go back to. */
export function tell(query, isNew) {
  const text = query.toString();
  const address = text ? `/?${text}` : "/";
  if (address === location.pathname + location.search) return;
  if (isNew) history.pushState(null, "", address);
  else history.replaceState(history.state, "", address);
}

/** Keep something with this place, for whoever comes back to it. */
export function keep(values) {
  history.replaceState({ ...history.state, ...values }, "");
}

export function kept() {
  return history.state ?? {};
}
