// The table of jobs: one row a job, newest first, changed in place.

import * as address from "./address.js";
import { badge, labelChips, setBadge } from "./badge.js";
import { element, setText } from "./element.js";
import { duration, result, seconds, shortClock } from "./format.js";
import { readable } from "./words.js";

const COMMAND_SHOWN = 300;
const CELL = { role: "cell" };

export class Table {
  #rows = new Map(); // id → Row
  #body = element("tbody", { role: "rowgroup" });

  constructor() {
    const head = ["State", "Command", "Labels", "Created", "Duration", "Exit"];
    this.node = element(
      "table.jobs",
      { role: "table" }, // and so on: as cards on a phone it would be none otherwise
      element("caption.hidden", {}, "Jobs, newest first"),
      element("thead", { role: "rowgroup" }, element("tr", { role: "row" },
        head.map((name) => element("th", { scope: "col", role: "columnheader" }, name)))),
      this.#body,
    );
  }

  get size() {
    return this.#rows.size;
  }

  /** The id of the oldest job in it. */
  get last() {
    return this.#body.lastElementChild?.dataset.id ?? null;
  }

  has(id) {
    return this.#rows.has(id);
  }

  ids() {
    return [...this.#rows.keys()];
  }

  clear() {
    this.#rows.clear();
    this.#body.replaceChildren();
  }

  put(job) {
    let row = this.#rows.get(job.id);
    if (row === undefined) {
      row = new Row(job);
      this.#rows.set(job.id, row);
      this.#body.insertBefore(row.node, this.#after(job.id));
    }
    row.show(job);
  }

  remove(id) {
    this.#rows.get(id)?.node.remove();
    this.#rows.delete(id);
  }

  /** Keep the newest so many rows. */
  shorten(most) {
    while (this.#rows.size > most) this.remove(this.last);
  }

  /** Let the durations of what runs go on. */
  tick() {
    const now = Date.now();
    for (const row of this.#rows.values()) row.tick(now);
  }

  /** The id of the job whose row has the focus. */
  get focused() {
    return document.activeElement.closest("tr")?.dataset.id;
  }

  focus(id) {
    this.#rows.get(id)?.node.querySelector("a").focus({ preventScroll: true });
  }

  /** Move the focus by so many rows; to the first one when none has it. */
  move(by) {
    const rows = [...this.#body.children];
    const at = rows.findIndex((row) => row.contains(document.activeElement));
    const next = rows[at === -1 ? 0 : Math.min(Math.max(at + by, 0), rows.length - 1)];
    next?.querySelector("a").focus();
    next?.scrollIntoView({ block: "nearest" });
  }

  #after(id) {
    let row = this.#body.firstElementChild;
    while (row !== null && row.dataset.id > id) row = row.nextElementSibling;
    return row;
  }
}

class Row {
  #job = null;
  #badge = badge();
  #duration = element("td.duration", CELL);
  #result = element("td.result", CELL);

  constructor(job) {
    const command = readable(job.args).slice(0, COMMAND_SHOWN);
    const link = element("a.command", { href: address.jobAddress(job.id), title: command }, command);
    this.node = element(
      "tr",
      { role: "row", "data-id": job.id, click: (event) => this.#open(event, link) },
      element("td.of-state", CELL, this.#badge),
      element("td.of-command", CELL, link),
      element("td.labels", CELL, labelChips(job.labels)),
      element("td.time", CELL, element("time", { datetime: job.created_at, title: job.created_at }, shortClock(job.created_at))),
      this.#duration,
      this.#result,
    );
  }

  show(job) {
    this.#job = job;
    this.node.dataset.state = job.state;
    setBadge(this.#badge, job);
    setText(this.#result, result(job));
    this.tick(Date.now());
  }

  tick(now) {
    setText(this.#duration, duration(seconds(this.#job, now)));
  }

  #open(event, link) {
    const isMeant = event.target !== link && getSelection().isCollapsed && !event.ctrlKey && !event.metaKey;
    if (isMeant) address.go(link.pathname);
  }
}
