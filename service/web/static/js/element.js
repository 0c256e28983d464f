// Builds DOM nodes. Text goes in as text nodes and attributes only: nothing is ever parsed as HTML.

/** element("button.primary", {type: "submit", click: f}, "Run", node): functions become listeners. */
export function element(name, properties = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const made = document.createElement(tag);
  made.classList.add(...classes);
  for (const [key, value] of Object.entries(properties)) {
    if (typeof value === "function") made.addEventListener(key, value);
    else if (typeof value === "boolean") made.toggleAttribute(key, value);
    else if (value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** Change a node's text only where it differs, so that selections and screen readers are left alone. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** A sentence in which `names` stand between backticks, as nodes. */
export function prose(text) {
  return text.split("`").map((part, at) => (at % 2 ? element("code", {}, part) : part));
}

const SVG = "http://www.w3.org/2000/svg";

/** The mark of squall. */
export function mark() {
  const svg = document.createElementNS(SVG, "svg");
  for (const [name, value] of Object.entries({ viewBox: "0 0 32 32", class: "mark", "aria-hidden": "true" })) {
    svg.setAttribute(name, value);
  }
  for (const line of ["M4 11h15a4 4 0 1 0-4-4", "M4 17h21a3.5 3.5 0 1 1-3.5 3.5", "M4 23h9a3 3 0 1 1-3 3"]) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", line);
    svg.append(path);
  }
  return svg;
}
