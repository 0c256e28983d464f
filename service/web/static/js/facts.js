// What is known of a job beside its output.

import { labelChips } from "./badge.js";
import { element, setText } from "./element.js";
import { bytes, clock, count, duration, result, seconds } from "./format.js";

// Each fact: its name, its text of a job, and what more is told on hovering.
const FACTS = [
  ["Exit", result],
  ["Duration", (job) => duration(seconds(job))],
  ["Accepted", (job) => clock(job.created_at), (job) => job.created_at],
  ["Started", (job) => job.started_at && clock(job.started_at), (job) => job.started_at],
  ["Finished", (job) => job.finished_at && clock(job.finished_at), (job) => job.finished_at],
  ["Process", (job) => job.owner && (job.pid ? `${job.owner}, pid ${job.pid}` : job.owner)],
  ["CPU", (job) => job.usage && duration(job.usage.user_seconds + job.usage.system_seconds)],
  ["Memory", (job) => job.usage && bytes(job.usage.max_rss_bytes)],
  ["stdout", (job) => size(job.stdout)],
  ["stderr", (job) => size(job.stderr)],
  ["Timeout", (job) => job.timeout && duration(job.timeout)],
  ["Directory", (job) => job.cwd],
  ["Environment", (job) => Object.entries(job.env).map((pair) => pair.join("=")).join("  ")],
  ["Error", (job) => job.error],
];

export class Facts {
  #values = FACTS.map(() => element("dd"));
  #entries = FACTS.map(([name], at) => element("div", { hidden: true }, element("dt", {}, name), this.#values[at]));
  #chips = element("dd.labels");
  #labels = element("div", { hidden: true }, element("dt", {}, "Labels"), this.#chips);

  constructor() {
    this.node = element("dl.facts", {}, this.#entries, this.#labels);
  }

  show(job) {
    FACTS.forEach(([, textOf, titleOf], at) => {
      const text = textOf(job);
      this.#entries[at].hidden = !text;
      setText(this.#values[at], text || "");
      this.#values[at].title = titleOf?.(job) ?? "";
    });
    if (this.#labels.hidden) this.#chips.replaceChildren(...labelChips(job.labels));
    this.#labels.hidden = this.#chips.childElementCount === 0;
  }
}

function size({ bytes: written, dropped }) {
  if (!written) return "";
  return dropped ? `${bytes(written)}, ${bytes(dropped)} not kept` : written < 1000 ? `${count(written)} B` : bytes(written);
}
