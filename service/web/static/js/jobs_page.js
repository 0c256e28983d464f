// The list: what runs, what waits, what has been.

import * as address from "./address.js";
import { listJobs } from "./api.js";
import { Charts } from "./charts.js";
import { element, setText } from "./element.js";
import { Figures } from "./figures.js";
import { Filter } from "./filter.js";
import { attempt } from "./notice.js";
import { RunForm } from "./run_form.js";
import { Table } from "./table.js";

const PAGE = 100;
const RECENT = 1000;
const TICK_MS = 1000;
const SHOW_MS = 100;

export class JobsPage {
  title = "Jobs";
  #jobs;
  #figures = new Figures();
  #charts = new Charts(this.#figures);
  #table = new Table();
  #filter = new Filter((isNew) => this.#refilter(isNew));
  #form;
  #older = element("button", { type: "button", click: () => this.#loadOlder() }, "Older jobs");
  #count = element("span.count", { role: "status" });
  #cursor = null;
  #most;
  #left; // where one was before going away from here
  #changed = new Map(); // jobs that wait to be shown: many changes make one
  #timers = [];
  #unsubscribe;
  #loading = 0;
  #loaded = Promise.resolve();

  /** `query` is what the address says of the list. */
  constructor(jobs, query) {
    this.#jobs = jobs;
    this.#filter.read(query);
    this.#left = address.kept();
    this.#most = this.#left.rows ?? PAGE;
    this.#form = new RunForm((job) => {
      jobs.put(job);
      address.go(address.jobAddress(job.id));
    });
    this.node = element(
      "main.jobs-page",
      {},
      element("h1.hidden", { tabindex: "-1" }, "Jobs"),
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

  /** Take over another address of the list. */
  moved(query) {
    this.#filter.read(query);
    attempt(() => this.#load(address.kept().rows));
  }

  /** Called before another place is gone to: whoever comes back finds as many rows, at the same height, and the same one. */
  leave() {
    address.keep({ rows: this.#most, y: scrollY, row: this.#table.focused });
  }

  close() {
    this.#loading++; // what is on its way comes too late
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
        this.#load(Math.min(this.#most, RECENT)), // as many as were there
      ]);
      for (const job of [...recent.jobs, ...active.jobs]) this.#jobs.put(job);
      this.#figures.load(recent.jobs, active.jobs);
      this.#figures.sample();
      this.#charts.draw();
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
    const mine = ++this.#loading;
    this.#loaded = this.#replace(mine, limit);
    await this.#loaded;
    // a search that takes long answers with what it has, which may be nothing yet
    while (mine === this.#loading && this.#table.size === 0 && this.#cursor !== null) {
      setText(this.#count, "Looking further back…");
      await this.#append(mine);
    }
  }

  async #replace(mine, limit) {
    const page = await listJobs({ ...this.#filter.query, limit });
    if (mine !== this.#loading) return; // another list was asked for meanwhile
    this.#table.clear();
    this.#take(page);
    this.#comeBack();
  }

  #comeBack() {
    const { y, row } = this.#left;
    if (y) scrollTo(0, y);
    if (document.activeElement.matches("body, h1")) this.#table.focus(row);
    this.#left = {};
  }

  async #loadOlder() {
    this.#older.disabled = true;
    await attempt(async () => {
      await this.#loaded; // a list that is on its way would replace what comes now
      this.#most += PAGE;
      await this.#append(this.#loading);
    });
    this.#older.disabled = false;
  }

  async #append(mine) {
    const older = await listJobs({ ...this.#filter.query, limit: PAGE, cursor: this.#cursor });
    if (mine === this.#loading) this.#take(older);
  }

  #take({ jobs, next_cursor: cursor }) {
    this.#cursor = cursor;
    for (const listed of jobs) {
      this.#jobs.put(listed);
      this.#table.put(this.#jobs.get(listed.id) ?? listed);
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

  #refilter(isNew) {
    address.tell(this.#filter.address, isNew);
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
    const none = this.#filter.isEmpty ? "No job yet" : "No such job";
    setText(this.#count, size === 0 ? none : `${size} ${size === 1 ? "job" : "jobs"}${this.#cursor === null ? "" : ", newest first"}`);
  }
}
