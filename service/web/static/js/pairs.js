// Names and values, a row each: a value may have spaces and line feeds in it.

import { element } from "./element.js";

const PLAIN = { autocomplete: "off", autocapitalize: "off", spellcheck: "false" };

export class Pairs {
  #separator;

  /** A name has no `separator` in it: writing or pasting `name=value` fills both fields. */
  constructor(separator) {
    this.#separator = separator;
    this.node = element("div.pairs");
    this.set({});
  }

  set(pairs) {
    this.node.replaceChildren();
    for (const [name, value] of Object.entries(pairs)) this.#add(name, value);
    this.#add();
  }

  get() {
    const rows = [...this.node.children].map((row) => [row.children[0].value, row.children[1].value]);
    return Object.fromEntries(rows.filter(([name, value]) => name !== "" || value !== ""));
  }

  #add(name = "", value = "") {
    const key = element("input", { type: "text", "aria-label": "Name", placeholder: "name", ...PLAIN, input: () => this.#named(row) });
    const text = element("textarea", { rows: "1", "aria-label": "Value", placeholder: "value", ...PLAIN, input: () => this.#grow() });
    const remove = element("button.quiet", { type: "button", "aria-label": "Remove", click: () => this.#remove(row) }, "×");
    const row = element("div.pair", { paste: (event) => this.#paste(event, row) }, key, text, remove);
    key.value = name;
    text.value = value;
    this.node.append(row);
    return row;
  }

  #named(row) {
    const [key, text] = row.children;
    const at = key.value.search(this.#separator);
    if (at > 0) {
      text.value = key.value.slice(at + 1) + text.value;
      key.value = key.value.slice(0, at);
      text.focus();
    }
    this.#grow();
  }

  /** Lines of name=value become rows. */
  #paste(event, row) {
    const lines = event.clipboardData.getData("text/plain").split(/\r?\n/).filter((line) => line.trim() !== "");
    if (event.target !== row.children[0] || lines.length < 2 || !lines.every((line) => line.search(this.#separator) > 0)) return;
    event.preventDefault();
    row.remove();
    this.node.lastElementChild && this.#isEmpty(this.node.lastElementChild) && this.node.lastElementChild.remove();
    for (const line of lines) {
      const at = line.search(this.#separator);
      this.#add(line.slice(0, at).trim(), line.slice(at + 1));
    }
    this.#grow();
  }

  #remove(row) {
    row.remove();
    this.#grow();
    this.node.lastElementChild.children[0].focus();
  }

  /** There is always one empty row at the end. */
  #grow() {
    const last = this.node.lastElementChild;
    if (!last || !this.#isEmpty(last)) this.#add();
  }

  #isEmpty(row) {
    return row.children[0].value === "" && row.children[1].value === "";
  }
}
