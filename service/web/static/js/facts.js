// What is known of a job beside its output.

import { labelChips } from "./badge.js";
import { element, setText } from "./element.js";
import { bytes, clock, count, duration, result, seconds } from "./format.js";

export class Facts {
  #values = new Map();
  #labels = element("dd.labels");

  constructor() {
    this.node = element("dl.facts");
  }

  show(job) {
    this.#put("Exit", result(job), job.error ?? "");
    this.#put("Duration", duration(seconds(job)));
    this.#put("Accepted", clock(job.created_at), job.created_at);
    this.#put("Started", job.started_at && clock(job.started_at), job.started_at);
    this.#put("Finished", job.finished_at && clock(job.finished_at), job.finished_at);
    this.#put("Process", job.owner && (job.pid ? `${job.owner}, pid ${job.pid}` : job.owner));
    this.#put("Directory", job.cwd);
    this.#put("Timeout", job.timeout && duration(job.timeout));
    this.#put("CPU", job.usage && duration(job.usage.user_seconds + job.usage.system_seconds));
    this.#put("Memory", job.usage && bytes(job.usage.max_rss_bytes));
    this.#put("stdout", size(job.stdout));
    this.#put("stderr", size(job.stderr));
    this.#put("Environment", Object.entries(job.env).map((pair) => pair.join("=")).join("  "));
    if (!this.#labels.isConnected && Object.keys(job.labels).length) {
      this.#labels.append(...labelChips(job.labels));
      this.node.append(element("div", {}, element("dt", {}, "Labels"), this.#labels));
    }
  }

  tick(job) {
    this.#put("Duration", duration(seconds(job)));
  }

  #put(name, text, title = "") {
    if (!this.#values.has(name)) {
      if (!text) return;
      const value = element("dd");
      this.#values.set(name, value);
      this.node.append(element("div", {}, element("dt", {}, name), value));
    }
    const value = this.#values.get(name);
    setText(value, text || "–");
    if (title) value.title = title;
  }
}

function size({ bytes: written, dropped }) {
  if (!written) return "";
  return dropped ? `${bytes(written)}, ${bytes(dropped)} not kept` : written < 1000 ? `${count(written)} B` : bytes(written);
}
