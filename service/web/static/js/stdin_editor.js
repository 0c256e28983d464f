// What a command reads on its standard input.

import { Editor, labelled } from "./editors.js";
import { element } from "./element.js";

const CHOICES = [["none", "nothing"], ["text", "this text"], ["open", "what is typed while it runs"]];

export class StdinEditor extends Editor {
  #text = element("textarea", { rows: "3", spellcheck: "false" });
  #before = element("option", { value: "before", hidden: true }, "the same as before");
  #choice = element("select", { change: () => this.#show() }, this.#before,
    CHOICES.map(([value, text]) => element("option", { value }, text)));
  #field = labelled("Text", "", this.#text);

  constructor({ title }) {
    super();
    this.node = element("div.stdin", {}, labelled(title, "", this.#choice), this.#field);
    this.set(undefined);
  }

  /** An earlier job's input is with the service, not here. */
  offerBefore(isOffered) {
    this.#before.hidden = this.#before.disabled = !isOffered;
    this.set(undefined);
  }

  write() {
    this.#choice.value = this.#before.hidden ? "none" : "before";
    this.#text.value = "";
    this.#show();
  }

  read() {
    return { before: undefined, none: this.#before.hidden ? undefined : null, text: { text: this.#text.value }, open: "open" }[this.#choice.value];
  }

  #show() {
    this.#field.hidden = this.#choice.value !== "text";
  }
}
