// The line that runs a command, and what may be said beside it.

import { submit } from "./api.js";
import { element } from "./element.js";
import { messageOf } from "./notice.js";
import { join, split } from "./words.js";

export class RunForm {
  #line = element("input.line", {
    type: "text", name: "command", "aria-label": "Command", placeholder: "Run a command", autocomplete: "off",
    autocapitalize: "off", autocorrect: "off", spellcheck: "false", enterkeyhint: "go", input: () => this.#preview(),
  });
  #words = element("div.words");
  #wrong = element("p.wrong", { role: "alert" });
  #button = element("button.primary", { type: "submit" }, "Run");
  #inShell = element("input", { type: "checkbox", change: () => this.#preview() });
  #cwd = field("text", "/srv/data");
  #timeout = field("number", "none", { min: "0", step: "any", inputmode: "decimal" });
  #labels = field("text", "key:value key:value");
  #env = element("textarea", { rows: "3", placeholder: "NAME=value", spellcheck: "false", autocapitalize: "off" });
  #input = element("textarea", { rows: "3", spellcheck: "false" });
  #stdin = element("select", { change: () => this.#showInput() }, [
    ["none", "nothing"], ["text", "this text"], ["open", "what is typed while it runs"],
  ].map(([value, text]) => element("option", { value }, text)));
  #inputField = labelled("Text", this.#input);
  #options;
  #more = element("button.quiet", { type: "button", "aria-expanded": "false", "aria-controls": "options", click: () => this.#toggle() }, "Options");

  /** `submitted(job)` is called with each job that was accepted. */
  constructor(submitted) {
    this.submitted = submitted;
    this.#options = element(
      "div.options",
      { id: "options", hidden: true },
      labelled("Directory", this.#cwd),
      labelled("Timeout, seconds", this.#timeout),
      labelled("Labels", this.#labels),
      labelled("Reads on stdin", this.#stdin),
      labelled("Environment, one a line", this.#env),
      this.#inputField,
    );
    this.node = element(
      "form.run",
      { submit: (event) => this.#submit(event), "aria-label": "Run a command" },
      element(
        "div.bar",
        {},
        element("span.prompt", { "aria-hidden": "true" }, "$"),
        this.#line,
        element("label.check", {}, this.#inShell, "in a shell"),
        this.#more,
        this.#button,
      ),
      this.#words,
      this.#wrong,
      this.#options,
    );
    this.#showInput();
  }

  focus() {
    this.#line.focus();
  }

  /** Fill in what a job was asked; its stdin is not kept, so it stays empty. */
  fill(job) {
    const isShell = job.args.length === 3 && job.args[0] === "sh" && job.args[1] === "-c";
    this.#inShell.checked = isShell;
    this.#line.value = isShell ? job.args[2] : join(job.args);
    this.#cwd.value = job.cwd ?? "";
    this.#timeout.value = job.timeout ?? "";
    this.#labels.value = Object.entries(job.labels).map((pair) => pair.join(":")).join(" ");
    this.#env.value = Object.entries(job.env).map((pair) => pair.join("=")).join("\n");
    this.#toggle(Boolean(job.cwd || job.timeout || this.#labels.value || this.#env.value));
    this.#preview();
    this.focus();
  }

  async #submit(event) {
    event.preventDefault();
    this.#wrong.textContent = "";
    const spec = this.#spec();
    if (spec === null) return;
    this.#button.disabled = true;
    try {
      const job = await submit(spec);
      this.#line.value = "";
      this.#preview();
      this.submitted(job);
    } catch (error) {
      this.#wrong.textContent = messageOf(error);
    } finally {
      this.#button.disabled = false;
    }
  }

  #args() {
    if (this.#inShell.checked) return { args: ["sh", "-c", this.#line.value], error: null, isForShell: false };
    const { words, error, isForShell } = split(this.#line.value);
    return { args: words, error, isForShell };
  }

  #spec() {
    const { args, error } = this.#args();
    if (error !== null || this.#line.value.trim() === "") {
      this.#wrong.textContent = error ?? "";
      this.focus();
      return null;
    }
    const spec = { args, env: pairs(this.#env.value.split("\n"), "="), labels: pairs(this.#labels.value.split(/\s+/), ":") };
    if (this.#cwd.value) spec.cwd = this.#cwd.value;
    if (this.#timeout.value) spec.timeout = Number(this.#timeout.value);
    if (this.#stdin.value === "text") spec.stdin = { text: this.#input.value };
    if (this.#stdin.value === "open") spec.stdin = "open";
    return spec;
  }

  /** Show the arguments one by one, as the program will get them. */
  #preview() {
    this.#wrong.textContent = "";
    const { args, error, isForShell } = this.#args();
    const isPlain = args.length < 2 && !error;
    this.#words.replaceChildren(...(isPlain ? [] : args.map((arg) => element("span.word", {}, arg))));
    if (error) this.#words.append(element("span.aside", {}, error));
    if (isForShell && !error) {
      const click = () => {
        this.#inShell.checked = true;
        this.#preview();
      };
      this.#words.append(
        element("span.aside", {}, "No shell reads this: each word is passed on as it stands. "),
        element("button.link", { type: "button", click }, "Use a shell"),
      );
    }
  }

  #toggle(isOpen = this.#options.hidden) {
    this.#options.hidden = !isOpen;
    this.#more.setAttribute("aria-expanded", isOpen);
  }

  #showInput() {
    this.#inputField.hidden = this.#stdin.value !== "text";
  }
}

function field(type, placeholder, more = {}) {
  return element("input", { type, placeholder, autocomplete: "off", autocapitalize: "off", spellcheck: "false", ...more });
}

function labelled(name, input) {
  return element("label.field", {}, element("span", {}, name), input);
}

function pairs(texts, separator) {
  const found = texts.map((text) => text.trim()).filter(Boolean).map((text) => {
    const at = text.indexOf(separator);
    return at === -1 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
  });
  return Object.fromEntries(found);
}
