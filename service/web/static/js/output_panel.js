// A job's output: the screen, and what can be asked of it.

import { copy } from "./clipboard.js";
import { element, setText } from "./element.js";
import { Feed } from "./feed.js";
import { hasEnded } from "./jobs.js";
import { messageOf } from "./notice.js";
import { SCROLLBACK, Screen } from "./screen.js";

const STREAMS = [["Both", ["stdout", "stderr"]], ["stdout", ["stdout"]], ["stderr", ["stderr"]]];
const WRAPS = "squall-wraps";

export class OutputPanel {
  #id;
  #screen = new Screen();
  #feed;
  #job = null;
  #streams = STREAMS[0][1];
  #shown = 0; // pieces of output
  #note = element("span.note", { role: "status" });
  #empty = element("p.empty", { role: "status" });
  #find = element("input", {
    type: "search", placeholder: "Find in the output", "aria-label": "Find in the output", autocomplete: "off", autocapitalize: "off",
    spellcheck: "false", input: () => this.#search(false, true), keydown: (event) => this.#searchKey(event),
  });
  #found = element("span.found", { role: "status" });
  #wrap = toggle("Wrap", "Break long lines at the edge", localStorage.getItem(WRAPS) !== "no", (isOn) => {
    localStorage.setItem(WRAPS, isOn ? "yes" : "no");
    this.#screen.wraps = isOn;
  });
  #times = toggle("Times", "When each line came, and from which stream", false, () => this.#again());

  /** `on.ended(job)` at the end; `on.missing()` when there is no such job. */
  constructor(id, on, ...below) {
    this.#id = id;
    this.#feed = new Feed(id, this.#screen, {
      shown: (count, hasStderr) => this.#tellShown(count, hasStderr),
      ended: (job) => on.ended(job),
      failed: (error) => (error.status === 404 ? on.missing() : setText(this.#note, messageOf(error))),
    });
    this.#screen.whenFound(({ resultIndex, resultCount }) => this.#tellFound(resultIndex, resultCount));
    this.#screen.node.append(this.#empty);
    this.node = element("section.output", { "aria-label": "Output" }, this.#bar(), this.#screen.node, below);
  }

  open() {
    this.#screen.open();
    this.#screen.wraps = this.#wrap.ariaPressed === "true";
    this.#feed.open();
  }

  close() {
    this.#feed.close();
    this.#screen.close();
  }

  show(job) {
    this.#job = job;
    this.#tellEmpty();
  }

  focus() {
    this.#screen.focus();
  }

  /** To the field for a search; whether it was not there already. */
  focusFind() {
    if (document.activeElement === this.#find) return false;
    this.#find.focus();
    this.#find.select();
    return true;
  }

  #bar() {
    const choices = STREAMS.map(([name, streams], at) => {
      const click = () => {
        choices.forEach((other, index) => other.setAttribute("aria-pressed", index === at));
        this.#streams = streams;
        this.#again();
      };
      return element("button", { type: "button", "data-stream": name, "aria-pressed": String(at === 0), click }, name);
    });
    const downloads = ["stdout", "stderr"].map((stream) =>
      element("a", { href: `/v1/jobs/${this.#id}/${stream}`, download: `${this.#id}.${stream}.txt` }, stream),
    );
    return element(
      "div.output-bar",
      {},
      element("div.choice", { role: "group", "aria-label": "Streams" }, choices),
      this.#note,
      element("span.search", { role: "search", "aria-label": "Output" }, this.#find, this.#found,
        step("↑", "The one before", () => this.#search(true)), step("↓", "The next one", () => this.#search(false))),
      element("span.tools", {}, this.#wrap, this.#times,
        element("button.quiet", { type: "button", title: "What is marked, or all that is shown", click: () => copy(this.#screen.text(), "Output") }, "Copy")),
      element("span.downloads", {}, "Download ", downloads),
    );
  }

  #again() {
    setText(this.#note, "");
    this.#shown = 0;
    this.#feed.show(this.#streams, this.#times.ariaPressed === "true");
    this.#tellEmpty();
  }

  #tellShown(count, hasStderr) {
    this.#shown += count;
    if (hasStderr) this.node.dataset.hasStderr = "";
    this.#tellEmpty();
    if (this.#screen.isFull) setText(this.#note, `The last ${SCROLLBACK.toLocaleString("en-US")} lines`);
  }

  /** An empty screen says why it is empty. */
  #tellEmpty() {
    const job = this.#job;
    const bytes = job === null ? 0 : this.#streams.reduce((sum, stream) => sum + job[stream].bytes, 0);
    const isEmpty = this.#shown === 0 && job !== null && !(hasEnded(job) && bytes > 0);
    this.#empty.hidden = !isEmpty;
    if (isEmpty) setText(this.#empty, this.#emptiness(job));
  }

  #emptiness(job) {
    if (job.state === "queued") return "Waiting to start";
    const on = this.#streams.length === 1 ? ` on ${this.#streams[0]}` : "";
    return hasEnded(job) ? `No output${on}` : `No output${on} yet`;
  }

  #search(isBackwards, isIncremental = false) {
    this.#screen.find(this.#find.value, isBackwards, isIncremental);
    if (this.#find.value === "") setText(this.#found, "");
  }

  #searchKey(event) {
    if (event.key === "Enter") {
      event.preventDefault();
      this.#search(event.shiftKey);
    }
    if (event.key === "Escape") {
      this.#find.value = "";
      this.#search(false);
    }
  }

  #tellFound(at, count) {
    if (this.#find.value === "") return;
    setText(this.#found, count === 0 ? "none" : at === -1 ? `${count}` : `${at + 1} of ${count}`);
  }
}

function toggle(name, title, isOn, changed) {
  const made = element("button.toggle", { type: "button", title, "aria-pressed": String(isOn), click: () => {
    made.ariaPressed = String(made.ariaPressed !== "true");
    changed(made.ariaPressed === "true");
  } }, name);
  return made;
}

function step(sign, name, click) {
  return element("button.quiet", { type: "button", "aria-label": name, title: name, click }, sign);
}
