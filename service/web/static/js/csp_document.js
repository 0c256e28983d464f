// xterm.js writes <style> elements and style attributes, which our Content-Security-Policy forbids.
// It takes the document to use as an option: this one gives it elements that put the same rules into
// the page in the ways that the policy allows, a constructed style sheet and the CSS object model.

export function cspDocument() {
  return new Proxy(document, {
    get(target, name) {
      if (name === "createElement") return createElement;
      const value = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/** Open a terminal: while it does, version 6.0 takes one <style> from the window's own document. */
export function opening(open) {
  document.createElement = createElement;
  try {
    open();
  } finally {
    delete document.createElement; // the prototype's shows again
  }
}

function createElement(tag, options) {
  if (tag === "style") return styleSheet();
  const made = Document.prototype.createElement.call(document, tag, options);
  if (tag === "span") made.setAttribute = setAttribute;
  return made;
}

/** Stands where a <style> would: its text becomes a style sheet of the document. */
function styleSheet() {
  const sheet = new CSSStyleSheet();
  const stand = Document.prototype.createElement.call(document, "template");
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
