// What the list shows: states, labels, a text and a span of time, as they stand in its address.

import { element, setText } from "./element.js";
import { STATES } from "./jobs.js";
import { Span } from "./span.js";
import { split } from "./words.js";

const TYPING_MS = 250;
const PLAIN = { autocomplete: "off", autocapitalize: "off", spellcheck: "false" };

export class Filter {
  #states = new Set();
  #changed;
  #timer = 0;
  #text = element("input", {
    type: "search", placeholder: "Text in the command", "aria-label": "Text in the command", maxlength: "1000", ...PLAIN, input: () => this.#later(),
  });
  #labels = element("input", {
    type: "text", placeholder: "key:value", "aria-label": "Only jobs with these labels: key:value, separated by spaces",
    "aria-describedby": "label-wrong", ...PLAIN, input: () => this.#later(),
  });
  #wrong = element("p.wrong", { id: "label-wrong", role: "alert" });
  #span = new Span(() => this.#apply(true));
  #all = this.#button("all", () => this.#states.clear());
  #buttons = STATES.map((state) => this.#button(state, () => this.#toggle(state)));

  /** `changed(isNew)` is called when another list is wanted; it is not new while somebody types. */
  constructor(changed) {
    this.#changed = changed;
    this.node = element(
      "div.filter",
      { role: "search", "aria-label": "Jobs" },
      element("div.states", { role: "group", "aria-label": "States" }, this.#all, this.#buttons),
      element("label.field.find", {}, element("span", {}, "Find"), this.#text),
      element("label.field", {}, element("span", {}, "Label"), this.#labels),
      this.#span.node,
      this.#wrong,
    );
    this.#mark();
  }

  /** Take over what an address says. */
  read(query) {
    clearTimeout(this.#timer);
    this.#states = new Set(query.getAll("state").filter((state) => STATES.includes(state)));
    const labels = query.getAll("label").map(labelText).join(" ");
    // what is being typed stays as it is typed
    if (labels !== this.#labelTexts().join(" ")) this.#labels.value = labels;
    if ((query.get("q") ?? "") !== this.#text.value.trim()) this.#text.value = query.get("q") ?? "";
    this.#span.read(query.get("since") ?? "", query.get("until") ?? "");
    this.#mark();
  }

  /** What an address says of it. */
  get address() {
    const query = new URLSearchParams();
    for (const state of STATES) if (this.#states.has(state)) query.append("state", state);
    for (const [key, value] of this.#pairs()) query.append("label", `${key}:${value}`);
    if (this.#text.value.trim()) query.set("q", this.#text.value.trim());
    for (const [name, value] of this.#span.address) query.set(name, value);
    return query;
  }

  /** What the service is asked for. */
  get query() {
    const labels = this.#pairs().map(([key, value]) => `${key}:${value}`);
    return { states: [...this.#states], labels, q: this.#text.value.trim(), ...this.#span.times };
  }

  get isEmpty() {
    return this.address.size === 0;
  }

  focus() {
    this.#text.focus();
    this.#text.select();
  }

  /** Whether a job belongs in the list: as the service finds it, for what comes by itself. */
  takes(job) {
    return (
      (this.#states.size === 0 || this.#states.has(job.state)) &&
      this.#pairs().every(([key, value]) => job.labels[key] === value) &&
      caseless(job.args.join(" ")).includes(caseless(this.#text.value.trim())) &&
      this.#span.takes(job.created_at)
    );
  }

  #labelTexts() {
    return split(this.#labels.value).words;
  }

  #pairs() {
    return this.#labelTexts().map(pairOf).filter((pair) => pair !== null);
  }

  #toggle(state) {
    if (!this.#states.delete(state)) this.#states.add(state);
  }

  #button(name, act) {
    const click = () => {
      act();
      this.#apply(true);
    };
    return element("button", { type: "button", "data-state": name, click }, name);
  }

  #mark() {
    const wrong = this.#labelTexts().filter((text) => pairOf(text) === null);
    this.#all.setAttribute("aria-pressed", this.#states.size === 0);
    for (const button of this.#buttons) button.setAttribute("aria-pressed", this.#states.has(button.dataset.state));
    this.#labels.setAttribute("aria-invalid", wrong.length > 0);
    setText(this.#wrong, wrong.length ? `A label is key:value or key=value: ${wrong.join(" ")}` : "");
  }

  #later() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#apply(false), TYPING_MS);
  }

  #apply(isNew) {
    clearTimeout(this.#timer);
    this.#mark();
    this.#changed(isNew);
  }
}

/** Of `key:value` or `key=value`, whichever mark comes first; null when it is neither. */
function pairOf(text) {
  const at = text.search(/[:=]/);
  return at > 0 ? [text.slice(0, at), text.slice(at + 1)] : null;
}

/** As the service compares texts: whatever the case, and ß is ss. */
function caseless(text) {
  return text.toLowerCase().toUpperCase().toLowerCase();
}

function labelText(label) {
  return /[\s'"\\]/.test(label) ? `'${label.replaceAll("'", "'\\''")}'` : label;
}
