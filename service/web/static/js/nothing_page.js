// What is shown where there is nothing.

import { element } from "./element.js";

export function nothingPage(what, detail) {
  const node = element(
    "main.nothing",
    {},
    element("h1", { tabindex: "-1" }, what),
    element("p", {}, element("code", {}, detail)),
    element("p", {}, element("a", { href: "/" }, "All jobs")),
  );
  return { node, title: "Nothing here", shown() {}, close() {}, key: () => false };
}
