// The form that runs a command: a line, and beside it every field that a spec may have.

import { rerun, submit } from "./api.js";
import { CommandLine } from "./command_line.js";
import { editorOf } from "./editors.js";
import { element, setText } from "./element.js";
import { messageOf } from "./notice.js";
import { specFields } from "./spec.js";
import { StdinEditor } from "./stdin_editor.js";

export class RunForm {
  #line = new CommandLine(() => setText(this.#wrong, ""));
  #wrong = element("p.wrong", { role: "alert" });
  #button = element("button.primary", { type: "submit" }, "Run");
  #options = element("div.options", { id: "options", hidden: true });
  #more = element("button.quiet", { type: "button", "aria-expanded": "false", "aria-controls": "options", click: () => this.#toggle() }, "Options");
  #of = element("p.edits", { hidden: true });
  #fields = [];
  #editors = new Map([["args", this.#line]]);
  #edited = null; // the job whose spec is changed here
  #ready;

  /** `submitted(job)` is called with each job that was accepted. */
  constructor(submitted) {
    this.submitted = submitted;
    this.#line.set(undefined);
    this.node = element(
      "form.run",
      { submit: (event) => this.#submit(event), "aria-label": "Run a command" },
      element("div.bar", {}, element("span.prompt", { "aria-hidden": "true" }, "$"), this.#line.node, this.#line.check, this.#more, this.#button),
      this.#line.words,
      this.#of,
      this.#wrong,
      this.#options,
    );
    this.#ready = this.#load();
  }

  focus() {
    this.#line.focus();
  }

  /** Take a job's spec, to run it again with changes: only what is changed is sent. */
  async fill(job) {
    this.#line.set(job.args);
    this.focus();
    this.#tellEdited(job);
    await this.#ready;
    for (const { name, empty } of this.#fields.filter((field) => field.name !== "args")) {
      const editor = this.#editors.get(name);
      if (name === "stdin") editor.offerBefore(true);
      else editor.set(same(job[name], empty) ? undefined : job[name]);
      if (job[name] !== undefined && !same(job[name], empty)) this.#toggle(true);
    }
  }

  async #load() {
    try {
      this.#fields = await specFields();
    } catch (error) {
      this.#options.replaceChildren(element("p.wrong", {}, messageOf(error)));
      return;
    }
    const isSmall = (editor) => !editor.node.matches("fieldset");
    const isGroup = (editor) => editor.node.matches(".group");
    for (const field of this.#fields.filter(({ name }) => name !== "args")) {
      this.#editors.set(field.name, field.name === "stdin" ? new StdinEditor(field) : editorOf(field));
    }
    const editors = [...this.#editors.values()].filter((editor) => editor !== this.#line);
    this.#options.replaceChildren(
      element("div.options-grid", {}, editors.filter(isSmall).map((editor) => editor.node)),
      ...editors.filter((editor) => !isSmall(editor) && !isGroup(editor)).map((editor) => editor.node),
      ...editors.filter(isGroup).map((editor) => editor.node),
    );
  }

  async #submit(event) {
    event.preventDefault();
    setText(this.#wrong, this.#line.error ?? "");
    if (this.#line.error !== null || this.#line.isEmpty) {
      this.focus();
      return;
    }
    this.#button.disabled = true;
    try {
      const job = this.#edited ? await rerun(this.#edited.id, this.#changes()) : await submit(this.#spec());
      this.#line.set(undefined);
      this.submitted(job);
    } catch (error) {
      setText(this.#wrong, messageOf(error));
    } finally {
      this.#button.disabled = false;
    }
  }

  #spec() {
    const values = [...this.#editors].map(([name, editor]) => [name, editor.get()]);
    return Object.fromEntries(values.filter(([, value]) => value !== undefined && value !== null));
  }

  #changes() {
    const changed = [...this.#editors].filter(([, editor]) => editor.isChanged);
    const empty = (name) => this.#fields.find((field) => field.name === name)?.empty ?? null;
    return Object.fromEntries(changed.map(([name, editor]) => [name, editor.get() ?? empty(name)]));
  }

  #tellEdited(job) {
    this.#edited = job;
    this.#of.hidden = false;
    this.#of.replaceChildren(
      "A copy of ", element("a", { href: `/jobs/${job.id}` }, job.id), ": what is not changed here stays as it is there. ",
      element("button.link", { type: "button", click: () => this.#startAnew() }, "Start anew"),
    );
  }

  #startAnew() {
    this.#edited = null;
    this.#of.hidden = true;
    this.#editors.get("stdin")?.offerBefore(false);
    for (const editor of this.#editors.values()) editor.set(undefined);
    this.focus();
  }

  #toggle(isOpen = this.#options.hidden) {
    this.#options.hidden = !isOpen;
    this.#more.setAttribute("aria-expanded", isOpen);
  }
}

function same(one, other) {
  return JSON.stringify(one ?? null) === JSON.stringify(other ?? null);
}
