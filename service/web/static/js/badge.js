// A job's state as a coloured mark and a word.

import { element, setText } from "./element.js";

export function badge() {
  return element("span.state", {}, element("span.dot", { "aria-hidden": "true" }), element("span"));
}

export function setBadge(node, job) {
  const word = job.state === "running" && job.cancel_requested ? "stopping" : job.state;
  node.dataset.state = job.state;
  setText(node.lastChild, word);
}

export function labelChips(labels) {
  return Object.entries(labels).map(([key, value]) =>
    element("span.chip", {}, element("span.key", {}, key), element("span.value", {}, value)),
  );
}
