// The list: what runs, what waits, what has been.

import { listJobs } from "./api.js";
import { Charts } from "./charts.js";
import { element, setText } from "./element.js";
import { Figures } from "./figures.js";
import { Filter } from "./filter.js";
import { attempt } from "./notice.js";
import { RunForm } from "./run_form.js";
import { Table } from "./table.js";

const PAGE = 100;
const SEARCH_PAGES = 10; // how far one click looks back for a text
const RECENT = 1000;
const TICK_MS = 1000;
const SHOW_MS = 100;

export class JobsPage {
  title = "Jobs";
  #jobs;
  #figures = new Figures();
  #charts = new Charts(this.#figures);
  #table = new Table();
  #filter = new Filter((isAnotherList) => this.#refilter(isAnotherList));
  #form;
  #older = element("button", { type: "button", click: () => this.#loadOlder() }, "Older jobs");
  #count = element("span.count", { role: "status" });
  #cursor = null;
  #most = PAGE;
  #changed = new Map(); // jobs that wait to be shown: many changes make one
  #timers = [];
  #unsubscribe;
  #loading = 0;
  #loaded = Promise.resolve();

  constructor(jobs, open) {
    this.#jobs = jobs;
    this.#form = new RunForm((job) => {
      jobs.put(job);
      open(job.id);
    });
    this.node = element(
      "main.jobs-page",
      {},
      element("h1.hidden", {}, "Jobs"),
      this.#form.node,
      this.#charts.node,
      element(
        "section.list",
        { "aria-label": "Jobs" },
        this.#filter.node,
        element("div.scroll", {}, this.#table.node),
        element("div.more", {}, this.#older, this.#count),
      ),
    );
    this.#unsubscribe = jobs.subscribe((job, before) => {
      this.#figures.take(job, before);
      this.#changed.set(job.id, job);
    });
    this.#timers.push(setInterval(() => this.#tick(), TICK_MS), setInterval(() => this.#showChanged(), SHOW_MS));
  }

  shown() {
    this.#charts.draw();
  }

  close() {
    this.#unsubscribe();
    this.#timers.forEach(clearInterval);
    this.#charts.close();
  }

  /** Load everything anew: at the beginning, and when changes may have been missed. */
  async fresh() {
    await attempt(async () => {
      const [recent, active] = await Promise.all([
        listJobs({ limit: RECENT }),
        listJobs({ limit: RECENT, states: ["running", "queued"] }),
      ]);
      for (const job of [...recent.jobs, ...active.jobs]) this.#jobs.put(job);
      this.#figures.load(recent.jobs, active.jobs);
      this.#figures.sample();
      this.#charts.draw();
      await this.#load(Math.min(this.#most, RECENT)); // as many as were there
    });
  }

  fill(job) {
    this.#form.fill(job);
  }

  key(event) {
    const act = {
      n: () => this.#form.focus(),
      "/": () => this.#filter.focus(),
      j: () => this.#table.move(1),
      k: () => this.#table.move(-1),
      ArrowDown: () => this.#table.move(1),
      ArrowUp: () => this.#table.move(-1),
    }[event.key];
    act?.();
    return act !== undefined;
  }

  async #load(limit = PAGE) {
    this.#most = limit;
    this.#loaded = this.#replace(++this.#loading, limit);
    await this.#loaded;
    if (this.#filter.hasText && this.#table.size === 0) await this.#loadOlder();
  }

  async #replace(mine, limit) {
    const page = await listJobs({ ...this.#query(), limit });
    if (mine !== this.#loading) return; // another list was asked for meanwhile
    this.#table.clear();
    this.#take(page);
  }

  /** Load the next page; with a text to find, pages until something more is found. */
  async #loadOlder() {
    this.#filter.settle();
    this.#older.disabled = true;
    await attempt(async () => {
      await this.#loaded; // a list that is on its way would replace what comes now
      const before = this.#table.size;
      const mine = this.#loading;
      for (let page = 0; page < (this.#filter.hasText ? SEARCH_PAGES : 1) && this.#cursor !== null; page++) {
        this.#most += PAGE;
        const older = await listJobs({ ...this.#query(), limit: PAGE, cursor: this.#cursor });
        if (mine !== this.#loading) return;
        this.#take(older);
        if (this.#table.size > before) break;
      }
    });
    this.#older.disabled = false;
  }

  #query() {
    return { states: [...this.#filter.states], labels: this.#filter.labels };
  }

  #take({ jobs, next_cursor: cursor }) {
    this.#cursor = cursor;
    for (const listed of jobs) {
      this.#jobs.put(listed);
      const job = this.#jobs.get(listed.id) ?? listed;
      if (this.#filter.takes(job)) this.#table.put(job);
    }
    this.#tell();
  }

  #showChanged() {
    if (this.#changed.size === 0) return;
    const last = this.#cursor === null ? "" : this.#table.last ?? "";
    const added = [];
    for (const job of this.#changed.values()) {
      const isShown = this.#table.has(job.id);
      if (!this.#filter.takes(job)) this.#table.remove(job.id);
      else if (isShown) this.#table.put(job);
      else if (job.id >= last) added.push(job);
    }
    this.#changed.clear();
    this.#charts.tell();
    // oldest first, so that each one goes to the top: a row is found by walking from there
    added.sort((a, b) => (a.id < b.id ? -1 : 1));
    for (const job of added.slice(-this.#most)) this.#table.put(job);
    if (this.#table.size > this.#most) {
      this.#table.shorten(this.#most);
      this.#cursor = this.#table.last;
    }
    this.#tell();
  }

  #refilter(isAnotherList) {
    if (isAnotherList || !this.#filter.hasText) {
      attempt(() => this.#load());
      return;
    }
    for (const id of this.#table.ids()) {
      const job = this.#jobs.get(id);
      if (job && !this.#filter.takes(job)) this.#table.remove(id);
    }
    attempt(() => this.#load());
  }

  #tick() {
    if (document.hidden) return;
    this.#figures.sample();
    this.#charts.draw();
    this.#table.tick();
  }

  #tell() {
    const size = this.#table.size;
    this.#older.hidden = this.#cursor === null;
    setText(this.#older, this.#filter.hasText ? "Look further back" : "Older jobs");
    const none = this.#filter.hasText || this.#filter.states.size || this.#filter.labels.length ? "No such job" : "No job yet";
    setText(this.#count, size === 0 ? none : `${size} ${size === 1 ? "job" : "jobs"}${this.#cursor === null ? "" : ", newest first"}`);
  }
}
