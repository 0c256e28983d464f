// What the list shows: states, labels and a text.

import { element } from "./element.js";
import { STATES } from "./jobs.js";

const TYPING_MS = 250;

/** `changed()` is called when another list is wanted; `text` alone narrows what is there. */
export class Filter {
  states = new Set();
  #changed;
  #timer = 0;
  #isAnotherList = false;

  constructor(changed) {
    this.#changed = changed;
    this.#text = element("input", {
      type: "search", placeholder: "Command, id or label", "aria-label": "Text in the command, id or labels",
      autocomplete: "off", spellcheck: "false", input: () => this.#later(false),
    });
    this.#labels = element("input", {
      type: "text", placeholder: "key:value", "aria-label": "Only jobs with these labels: key:value, separated by spaces",
      autocomplete: "off", spellcheck: "false", autocapitalize: "off", input: () => this.#later(true),
    });
    this.#all = this.#button("all", () => this.states.clear());
    this.#buttons = STATES.map((state) => this.#button(state, () => this.#toggle(state)));
    this.node = element(
      "div.filter",
      { role: "search" },
      element("div.states", { role: "group", "aria-label": "States" }, this.#all, this.#buttons),
      element("label.field", {}, element("span", {}, "Find"), this.#text),
      element("label.field", {}, element("span", {}, "Label"), this.#labels),
    );
    this.#mark();
  }

  #text;
  #labels;
  #all;
  #buttons;

  get labels() {
    return this.#labels.value.split(/\s+/).filter((label) => label.indexOf(":") > 0);
  }

  get hasText() {
    return this.#text.value.trim() !== "";
  }

  focus() {
    this.#text.focus();
    this.#text.select();
  }

  /** Whether a job belongs in the list. */
  takes(job) {
    return (
      (this.states.size === 0 || this.states.has(job.state)) &&
      this.labels.every((label) => hasLabel(job, label)) &&
      this.#hasWords(job)
    );
  }

  #hasWords(job) {
    if (!this.hasText) return true;
    const labels = Object.entries(job.labels).map(([key, value]) => `${key}:${value}`);
    const all = [job.args.join(" "), job.id, ...labels].join("\n").toLowerCase();
    return this.#text.value.toLowerCase().trim().split(/\s+/).every((word) => all.includes(word));
  }

  #toggle(state) {
    if (!this.states.delete(state)) this.states.add(state);
  }

  #button(name, act) {
    const click = () => {
      act();
      this.#mark();
      this.#changed(true);
    };
    return element("button", { type: "button", "data-state": name, click }, name);
  }

  #mark() {
    this.#all.setAttribute("aria-pressed", this.states.size === 0);
    for (const button of this.#buttons) button.setAttribute("aria-pressed", this.states.has(button.dataset.state));
  }

  #later(isAnotherList) {
    clearTimeout(this.#timer);
    this.#isAnotherList ||= isAnotherList;
    this.#timer = setTimeout(() => this.settle(), TYPING_MS);
  }

  /** What was typed counts now, without waiting for more. */
  settle() {
    if (this.#timer === 0) return;
    clearTimeout(this.#timer);
    const isAnotherList = this.#isAnotherList;
    this.#timer = 0;
    this.#isAnotherList = false;
    this.#changed(isAnotherList);
  }
}

function hasLabel(job, label) {
  const at = label.indexOf(":");
  return job.labels[label.slice(0, at)] === label.slice(at + 1);
}
