// The last minutes in figures, second by second: what runs, what waits, what ended and how long it took.

import { hasEnded } from "./jobs.js";

export const WINDOW_S = 300;
const BAD = new Set(["failed", "lost"]); // who cancels a job wants it to end
const DURATIONS_KEPT = 40; // a second; enough for a median
const MEDIAN_SPAN_S = 60;
const MEDIAN_OF_LEAST = 5; // of fewer it tells nothing

export class Figures {
  running = new Set();
  queued = new Set();
  #seconds = new Map(); // Unix second → {good, bad, durations, running, queued}

  /** Begin anew with what is known: recent jobs in any order, and all that run or wait. */
  load(recent, active) {
    this.#seconds.clear();
    this.running = new Set(active.filter((job) => job.state === "running").map((job) => job.id));
    this.queued = new Set(active.filter((job) => job.state === "queued").map((job) => job.id));
    for (const job of recent) {
      if (hasEnded(job)) this.#addEnd(job);
    }
    this.#reconstruct(new Map([...recent, ...active].map((job) => [job.id, job])));
  }

  /** Take a change of state. */
  take(job, before) {
    if (before !== undefined && before.state === job.state) return;
    this.running.delete(job.id);
    this.queued.delete(job.id);
    if (job.state === "running") this.running.add(job.id);
    else if (job.state === "queued") this.queued.add(job.id);
    else this.#addEnd(job);
  }

  /** Write down how many run and wait now. */
  sample(now = Date.now()) {
    const at = Math.floor(now / 1000);
    Object.assign(this.#at(at), { running: this.running.size, queued: this.queued.size });
    for (const second of this.#seconds.keys()) {
      if (second < at - WINDOW_S - 1) this.#seconds.delete(second);
    }
  }

  /** Columns over the window: times, and one array a figure; null where nothing is known. */
  columns(step, now = Date.now()) {
    const end = Math.floor(now / 1000 / step) * step;
    const columns = { times: [], running: [], queued: [], good: [], bad: [], median: [] };
    for (let from = end - WINDOW_S + step; from <= end; from += step) {
      const seconds = [];
      for (let at = from; at < from + step; at++) {
        if (this.#seconds.has(at)) seconds.push(this.#seconds.get(at));
      }
      columns.times.push(from);
      columns.running.push(most(seconds, "running"));
      columns.queued.push(most(seconds, "queued"));
      columns.good.push(sum(seconds, "good"));
      columns.bad.push(sum(seconds, "bad"));
      columns.median.push(this.median(MEDIAN_SPAN_S, (from + step) * 1000).value);
    }
    return columns;
  }

  /** Of the last so many seconds: how many ended, and how many of them badly. */
  ended(span, now = Date.now()) {
    const seconds = this.#since(span, now);
    const bad = sum(seconds, "bad");
    return { count: sum(seconds, "good") + bad, bad };
  }

  /** The median duration of what ended in the last so many seconds, null when that were few; and of how many. */
  median(span = WINDOW_S, now = Date.now()) {
    const durations = this.#since(span, now).flatMap((second) => second.durations);
    return { value: durations.length < MEDIAN_OF_LEAST ? null : median(durations), of: durations.length };
  }

  #since(span, now) {
    const end = Math.floor(now / 1000);
    return [...this.#seconds].filter(([at]) => at > end - span && at <= end).map(([, second]) => second);
  }

  #addEnd(job) {
    const second = this.#at(Math.floor(Date.parse(job.finished_at) / 1000));
    second[BAD.has(job.state) ? "bad" : "good"] += 1;
    if (job.duration !== null && second.durations.length < DURATIONS_KEPT) second.durations.push(job.duration);
  }

  /** How many ran and waited in the seconds before now, from the times that the jobs tell. */
  #reconstruct(jobs) {
    const end = Math.floor(Date.now() / 1000);
    for (let at = end - WINDOW_S; at < end; at++) Object.assign(this.#at(at), { running: 0, queued: 0 });
    const add = (name, from, until) => {
      const last = Math.min(until, end - 1);
      for (let at = Math.max(from, end - WINDOW_S); at <= last; at++) this.#at(at)[name] += 1;
    };
    for (const job of jobs.values()) {
      const [created, started, finished] = [job.created_at, job.started_at, job.finished_at].map(second);
      const left = started ?? finished ?? Infinity;
      if (left > created) add("queued", created, left - 1);
      if (started !== null) add("running", started, finished ?? Infinity);
    }
  }

  #at(second) {
    if (!this.#seconds.has(second)) {
      this.#seconds.set(second, { good: 0, bad: 0, durations: [], running: null, queued: null });
    }
    return this.#seconds.get(second);
  }
}

function second(time) {
  return time === null ? null : Math.floor(Date.parse(time) / 1000);
}

function sum(seconds, name) {
  return seconds.reduce((total, each) => total + each[name], 0);
}

function most(seconds, name) {
  const known = seconds.map((each) => each[name]).filter((value) => value !== null);
  return known.length ? Math.max(...known) : null;
}

function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}
