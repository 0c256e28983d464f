// The line that a command is written on, and the arguments that the program will get.

import { Editor } from "./editors.js";
import { element } from "./element.js";
import { join, split } from "./words.js";

export class CommandLine extends Editor {
  #line = element("textarea.line", {
    rows: "1", name: "command", "aria-label": "Command", placeholder: "Run a command", autocomplete: "off", autocapitalize: "off",
    autocorrect: "off", spellcheck: "false", enterkeyhint: "go", input: () => this.#changed(), keydown: (event) => this.#key(event),
  });
  #inShell = element("input", { type: "checkbox", change: () => this.#changed() });
  check = element("label.check", {}, this.#inShell, "in a shell");
  words = element("div.words");

  /** `changed()` is called as it is written. */
  constructor(changed) {
    super();
    this.changed = changed;
    this.node = this.#line;
  }

  focus() {
    this.#line.focus();
    this.#line.setSelectionRange(this.#line.value.length, this.#line.value.length);
  }

  write(args) {
    const isShell = args?.length === 3 && args[0] === "sh" && args[1] === "-c";
    this.#inShell.checked = isShell;
    this.#line.value = isShell ? args[2] : join(args ?? []);
    this.#preview();
  }

  read() {
    return this.#parsed().args;
  }

  get isEmpty() {
    return this.#line.value.trim() === "";
  }

  /** What is wrong with it, or null. */
  get error() {
    return this.isChanged ? this.#parsed().error : null;
  }

  #parsed() {
    if (this.#inShell.checked) return { args: ["sh", "-c", this.#line.value], error: null, isForShell: false };
    const { words, error, isForShell } = split(this.#line.value);
    return { args: words, error, isForShell };
  }

  #changed() {
    this.#preview();
    this.changed();
  }

  #key(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    this.#line.form.requestSubmit();
  }

  /** Show the arguments one by one, as the program will get them. */
  #preview() {
    const { args, error, isForShell } = this.#parsed();
    const isPlain = (args.length < 2 || this.#inShell.checked) && !error;
    this.words.replaceChildren(...(isPlain ? [] : args.map((arg) => element("span.word", {}, arg))));
    if (error) this.words.append(element("span.aside", {}, error));
    if (isForShell && !error) this.words.append(...this.#shellHint());
  }

  #shellHint() {
    const click = () => {
      this.#inShell.checked = true;
      this.#changed();
      this.focus();
    };
    return [
      element("span.aside", {}, "No shell reads this: each word is passed on as it stands. "),
      element("button.link", { type: "button", click }, "Use a shell"),
    ];
  }
}
