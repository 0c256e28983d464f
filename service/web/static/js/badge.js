// A job's state as a coloured mark and a word.

import { element, setText } from "./element.js";

export function badge() {
  return element("span.state", {}, element("span.dot", { "aria-hidden": "true" }), element("span"));
}

export function setBadge(node, job) {
  node.dataset.state = job.state;
  setText(node.lastChild, job.state);
}

export function labelChips(labels) {
  return Object.entries(labels).map(([key, value]) => element("span.chip", {}, ...parts(key, value)));
}

/** The same as links to all jobs with that label. */
export function labelLinks(labels) {
  return Object.entries(labels).map(([key, value]) =>
    element("a.chip", { href: `/?${new URLSearchParams({ label: `${key}:${value}` })}` }, ...parts(key, value)),
  );
}

function parts(key, value) {
  return [element("span.key", {}, key), element("span.value", {}, value)];
}
