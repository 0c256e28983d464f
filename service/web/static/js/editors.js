// One editor for each kind of field. What was set and not changed comes back as it was, whatever the
// browser makes of it in between: a text field has no line feeds, a number no 64 bits.

import { element, prose } from "./element.js";
import { Pairs } from "./pairs.js";

const PLAIN = { autocomplete: "off", autocapitalize: "off", spellcheck: "false" };
let made = 0;

/** An editor has a `node`, `write(value)` and `read()`, which is undefined where there is nothing. */
export class Editor {
  #given;
  #shown = "";

  set(value) {
    this.#given = value ?? undefined;
    this.write(this.#given);
    this.#shown = JSON.stringify(this.read());
  }

  get isChanged() {
    return JSON.stringify(this.read()) !== this.#shown;
  }

  get() {
    return this.isChanged ? this.read() : this.#given;
  }
}

/** An editor of a field that spec.js describes. */
export function editorOf(field) {
  const editor = new { text: Text, number: Num, choice: Choice, pairs: PairsEditor, group: Group, json: Json }[field.kind](field);
  editor.set(undefined);
  return editor;
}

/** A control with its name, and what there is to know of it. */
export function labelled(title, help, control) {
  const hint = help ? element("span.help-text", { id: `help-${++made}` }, prose(help)) : null;
  if (hint) control.setAttribute("aria-describedby", hint.id);
  return element("div.field", {}, element("label.name", {}, element("span", {}, title), control), hint);
}

class Input extends Editor {
  constructor(field, attributes) {
    super();
    const example = field.example === undefined ? "" : `e.g. ${field.example}`;
    this.control = element("input", { type: "text", placeholder: field.empty ?? example, ...PLAIN, ...attributes });
    this.node = labelled(field.title, field.help, this.control);
  }

  write(value) {
    this.control.value = value ?? "";
  }
}

class Text extends Input {
  read() {
    return this.control.value === "" ? undefined : this.control.value;
  }
}

class Num extends Input {
  constructor(field) {
    const step = field.type.type === "integer" ? "1" : "any";
    super(field, { type: "number", step, min: field.type.minimum ?? field.type.exclusiveMinimum, inputmode: "decimal" });
  }

  read() {
    return this.control.value === "" ? undefined : Number(this.control.value);
  }
}

class Choice extends Editor {
  constructor({ title, help, type, empty }) {
    super();
    this.values = [undefined, ...type.enum];
    const options = this.values.map((value, at) => element("option", { value: at }, value === undefined ? `(${empty ?? "none"})` : String(value)));
    this.control = element("select", {}, options);
    this.node = labelled(title, help, this.control);
  }

  write(value) {
    this.control.value = Math.max(0, this.values.indexOf(value));
  }

  read() {
    return this.values[Number(this.control.value)];
  }
}

/** What has no editor of its own is there all the same. */
class Json extends Editor {
  constructor({ title, help }) {
    super();
    this.control = element("textarea", { rows: "1", placeholder: "JSON", ...PLAIN });
    this.node = labelled(title, help, this.control);
  }

  write(value) {
    this.control.value = value === undefined ? "" : JSON.stringify(value);
  }

  /** A text that is no JSON goes as a text: the service says what is wrong with it. */
  read() {
    if (this.control.value.trim() === "") return undefined;
    try {
      return JSON.parse(this.control.value);
    } catch {
      return this.control.value;
    }
  }
}

class PairsEditor extends Editor {
  constructor({ name, title, help }) {
    super();
    this.pairs = new Pairs(name === "labels" ? /[:=]/ : /=/);
    this.node = element("fieldset.field.wide", {}, element("legend", {}, title), this.pairs.node,
      help ? element("span.help-text", {}, prose(help)) : null);
  }

  write(value) {
    this.pairs.set(value ?? {});
  }

  read() {
    const pairs = this.pairs.get();
    return Object.keys(pairs).length ? pairs : undefined;
  }
}

class Group extends Editor {
  constructor({ title, fields }) {
    super();
    this.editors = fields.map((field) => [field.name, editorOf(field)]);
    this.node = element("fieldset.group", {}, element("legend", {}, title),
      element("div.options-grid", {}, this.editors.map(([, editor]) => editor.node)));
  }

  write(value) {
    for (const [name, editor] of this.editors) editor.set(value?.[name]);
  }

  read() {
    const values = this.editors.map(([name, editor]) => [name, editor.get()]).filter(([, value]) => value !== undefined);
    return values.length ? Object.fromEntries(values) : undefined;
  }
}
