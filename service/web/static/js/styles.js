// xterm.js writes <style> elements and style attributes, which our Content-Security-Policy forbids.
// Here it is given elements that put the same rules into the page in the ways that the policy
// allows: a constructed style sheet, and the CSS object model. It takes them from the window's own
// document, whatever its option `documentOverride` says (6.0.0), so that is where they are made.

const create = Document.prototype.createElement;

export function install() {
  document.createElement = (tag, options) => {
    if (tag === "style") return styleSheet();
    const made = create.call(document, tag, options);
    if (tag === "span") made.setAttribute = setAttribute;
    return made;
  };
}

/** Stands where a <style> would: its text becomes a style sheet of the document. */
function styleSheet() {
  const sheet = new CSSStyleSheet();
  const stand = create.call(document, "template");
  document.adoptedStyleSheets.push(sheet);
  Object.defineProperty(stand, "textContent", { set: (text) => sheet.replaceSync(text) });
  stand.remove = () => {
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((other) => other !== sheet);
    Element.prototype.remove.call(stand);
  };
  return stand;
}

function setAttribute(name, value) {
  if (name === "style") this.style.cssText = value;
  else Element.prototype.setAttribute.call(this, name, value);
}
