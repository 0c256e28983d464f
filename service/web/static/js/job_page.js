// One job: what it is, what it prints, and what can be done to it.

import { Actions } from "./actions.js";
import * as address from "./address.js";
import { getJob, wasGivenUp } from "./api.js";
import { badge, setBadge } from "./badge.js";
import { copy } from "./clipboard.js";
import { element, setText } from "./element.js";
import { Facts } from "./facts.js";
import { hasEnded } from "./jobs.js";
import { messageOf, notify } from "./notice.js";
import { nothingPage } from "./nothing_page.js";
import { OutputPanel } from "./output_panel.js";
import { StdinLine } from "./stdin_line.js";
import { readable } from "./words.js";

const TICK_MS = 200;

// What a reason means, where nobody would guess it.
const MEANINGS = {
  spawn_error: "The command could not be started",
  crash: "Nobody can know how it ended: the process that ran it was gone",
  timeout: "It ran longer than its timeout",
  output_limit: "It wrote more than its limit",
  dependency: "It could never start",
};

export class JobPage {
  title = "Job";
  #id;
  #jobs;
  #badge = badge();
  #command = element("h1.command", { tabindex: "-1" });
  #trouble = element("p.trouble", { hidden: true, role: "alert" });
  #facts = new Facts();
  #actions;
  #stdin;
  #output;
  #timer;
  #unsubscribe;
  #isClosed = false;

  /** `edit(job)` leads to the form with a job's spec in it. */
  constructor(id, jobs, edit) {
    this.#id = id;
    this.#jobs = jobs;
    this.#badge.setAttribute("role", "status");
    this.#actions = new Actions(id, {
      changed: (job) => jobs.put(job),
      accepted(job) {
        jobs.put(job);
        address.go(address.jobAddress(job.id));
      },
      edit: () => edit(this.#job),
      deleted: address.goBack,
    });
    this.#stdin = new StdinLine(id);
    this.#output = new OutputPanel(id, { ended: (job) => jobs.put(job), missing: () => this.#tellMissing() }, this.#stdin.node);
    this.node = element(
      "main.job-page",
      {},
      element("div.above", {},
        element("a.back", { href: address.listAddress(), "data-back": "" }, "← All jobs"),
        element("span.id", {}, element("code", {}, id), element("button.quiet", { type: "button", click: () => copy(id, "Job id") }, "Copy id"))),
      element("div.head", {}, this.#badge, this.#command, this.#actions.node),
      this.#trouble,
      this.#facts.node,
      this.#output.node,
    );
    this.#unsubscribe = jobs.subscribe((job) => job.id === id && this.#show(job));
    this.#timer = setInterval(() => this.#job && !hasEnded(this.#job) && this.#facts.show(this.#job), TICK_MS);
  }

  get #job() {
    return this.#jobs.get(this.#id);
  }

  shown() {
    this.#output.open();
    if (this.#job) this.#show(this.#job);
  }

  close() {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearInterval(this.#timer);
    this.#unsubscribe();
    this.#output.close();
  }

  async fresh() {
    try {
      this.#jobs.put(await getJob(this.#id));
    } catch (error) {
      if (error.status === 404) this.#tellMissing();
      else if (!wasGivenUp(error)) notify(messageOf(error), "error");
    }
  }

  key(event) {
    if (this.#isClosed) return false;
    const act = { Escape: address.goBack, o: () => this.#output.focus(), "/": () => this.#output.focusFind() }[event.key];
    act?.();
    return act !== undefined;
  }

  /** Ctrl-F: most of the output is not in the document, where the browser's own search would look. */
  find() {
    return !this.#isClosed && this.#output.focusFind();
  }

  #show(job) {
    setBadge(this.#badge, job);
    setText(this.#command, readable(job.args));
    document.title = `${job.args[0]} · squall`;
    this.#tellTrouble(job);
    this.#facts.show(job);
    this.#actions.show(job);
    this.#output.show(job);
    this.#stdin.show(job);
    this.node.dataset.state = job.state;
  }

  #tellTrouble(job) {
    const meaning = MEANINGS[job.reason];
    this.#trouble.hidden = !meaning && !job.error;
    setText(this.#trouble, [meaning, job.error].filter(Boolean).join(": "));
  }

  #tellMissing() {
    if (this.#isClosed) return;
    this.close();
    this.node.replaceWith(nothingPage("There is no such job (any more).", this.#id).node);
    document.title = "No such job · squall";
  }
}
