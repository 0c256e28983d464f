// What is known of a job beside its output.

import { labelLinks } from "./badge.js";
import { element, setText } from "./element.js";
import { bytes, clock, count, duration, result, seconds } from "./format.js";

// Each fact: its name, its text of a job, and what more is told on hovering.
const FACTS = [
  ["Reason", (job) => job.state !== "succeeded" && job.reason],
  ["Exit", (job) => (job.reason === result(job) ? "" : result(job))],
  ["Cancel", (job) => job.cancel_requested && job.finished_at === null && "requested"],
  ["Duration", (job) => duration(seconds(job))],
  ["Created", (job) => clock(job.created_at), (job) => job.created_at],
  ["Started", (job) => job.started_at && clock(job.started_at), (job) => job.started_at],
  ["Finished", (job) => job.finished_at && clock(job.finished_at), (job) => job.finished_at],
  ["Owner", (job) => job.owner && (job.pid ? `${job.owner}, pid ${job.pid}` : job.owner)],
  ["CPU", (job) => job.usage && duration(job.usage.user_seconds + job.usage.system_seconds)],
  ["Memory", (job) => job.usage && bytes(job.usage.max_rss_bytes)],
  ["stdout", (job) => size(job.stdout)],
  ["stderr", (job) => size(job.stderr)],
  ["Timeout", (job) => job.timeout && duration(job.timeout)],
  ["Stop", (job) => stop(job.stop)],
  ["Limits", (job) => pairs(Object.entries(job.limits).filter(([, value]) => value !== null))],
  ["Directory", (job) => job.cwd],
  ["Environment", (job) => pairs(Object.entries(job.env))],
];

export class Facts {
  #values = FACTS.map(() => element("dd"));
  #entries = FACTS.map(([name], at) => element("div", { hidden: true }, element("dt", {}, name), this.#values[at]));
  #chips = element("dd.labels");
  #labels = element("div", { hidden: true }, element("dt", {}, "Labels"), this.#chips);
  #origin = element("dd");
  #rerun = element("div", { hidden: true }, element("dt", {}, "Rerun of"), this.#origin);

  constructor() {
    this.node = element("dl.facts", {}, this.#entries, this.#labels, this.#rerun);
  }

  show(job) {
    FACTS.forEach(([, textOf, titleOf], at) => {
      const text = textOf(job);
      this.#entries[at].hidden = !text;
      setText(this.#values[at], text || "");
      this.#values[at].title = titleOf?.(job) ?? "";
    });
    if (this.#labels.hidden) this.#chips.replaceChildren(...labelLinks(job.labels));
    this.#labels.hidden = this.#chips.childElementCount === 0;
    if (job.rerun_of && this.#rerun.hidden) {
      this.#origin.append(element("a", { href: `/jobs/${job.rerun_of}`, title: job.rerun_of }, `…${job.rerun_of.split("-").at(-1)}`));
      this.#rerun.hidden = false;
    }
  }
}

function size({ bytes: written, dropped }) {
  if (!written) return "";
  return dropped ? `${bytes(written)}, ${bytes(dropped)} not kept` : written < 1000 ? `${count(written)} B` : bytes(written);
}

/** How it is stopped, where that was asked for. */
function stop({ signal, grace }) {
  return signal === "SIGTERM" && grace === 5 ? "" : `${signal}, SIGKILL after ${duration(grace)}`;
}

function pairs(entries) {
  return entries.map((pair) => pair.join("=")).join("  ");
}
