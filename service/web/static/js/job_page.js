// One job: what it is, what it prints, and what can be done to it.

import { cancel, forget, getJob, sendInput, sendSignal, submit } from "./api.js";
import { badge, setBadge } from "./badge.js";
import { element, setText } from "./element.js";
import { Facts } from "./facts.js";
import { Feed } from "./feed.js";
import { hasEnded } from "./jobs.js";
import { attempt, messageOf, notify } from "./notice.js";
import { SCROLLBACK, Screen } from "./screen.js";
import { readable } from "./words.js";

const SIGNALS = ["SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGSTOP", "SIGCONT", "SIGTERM", "SIGKILL"];
const SPEC = ["args", "env", "cwd", "timeout", "stop", "limits", "labels"];
const TICK_MS = 200;

export class JobPage {
  title = "Job";
  #id;
  #jobs;
  #go;
  #badge = badge();
  #command = element("h1.command");
  #facts = new Facts();
  #screen = new Screen();
  #feed;
  #note = element("span.note", { role: "status" });
  #actions;
  #input;
  #hasAskedForInput = false;
  #timer;
  #unsubscribe;

  /** `go` leads to other pages: `go.job(id)`, `go.list()`, `go.edit(job)`. */
  constructor(id, jobs, go) {
    this.#id = id;
    this.#jobs = jobs;
    this.#go = go;
    this.#actions = this.#makeActions();
    this.#input = this.#makeInput();
    this.node = element(
      "main.job-page",
      {},
      element("a.back", { href: "#/" }, "← All jobs"),
      element("div.head", {}, this.#badge, this.#command, this.#actions.node),
      this.#facts.node,
      element("section.output", { "aria-label": "Output" }, this.#makeBar(), this.#screen.node, this.#input),
    );
    this.#feed = new Feed(id, this.#screen, {
      shown: () => this.#tellFull(),
      ended: (job) => this.#jobs.put(job),
      failed: (error) => this.#tellFailed(error),
    });
    this.#unsubscribe = jobs.subscribe((job) => job.id === id && this.#show(job));
    this.#timer = setInterval(() => this.#job && !hasEnded(this.#job) && this.#facts.show(this.#job), TICK_MS);
  }

  get #job() {
    return this.#jobs.get(this.#id);
  }

  shown() {
    this.#screen.open();
    if (this.#job) this.#show(this.#job);
    this.#feed.open();
  }

  close() {
    clearInterval(this.#timer);
    this.#unsubscribe();
    this.#feed.close();
    this.#screen.close();
  }

  async fresh() {
    try {
      this.#jobs.put(await getJob(this.#id));
    } catch (error) {
      this.#tellFailed(error);
    }
  }

  key(event) {
    const act = { Escape: () => this.#go.list(), o: () => this.#screen.focus() }[event.key];
    act?.();
    return act !== undefined;
  }

  #show(job) {
    setBadge(this.#badge, job);
    setText(this.#command, readable(job.args));
    document.title = `${job.args[0]} · squall`;
    this.#facts.show(job);
    this.#actions.show(job);
    if (job.state === "running") this.#offerInput();
    else this.#input.hidden = true;
    this.node.dataset.state = job.state;
  }

  #makeActions() {
    const stop = button("Stop", () => cancel(this.#id).then((job) => this.#jobs.put(job)), "danger");
    const again = button("Run again", () => this.#again(), "primary");
    const edit = button("Edit and run", async () => this.#go.edit(this.#job));
    const remove = button("Delete", () => this.#forget());
    const name = element("select", { "aria-label": "Signal" }, SIGNALS.map((signal) => element("option", {}, signal)));
    const send = button("Send", async () => {
      await sendSignal(this.#id, name.value);
      notify(`${name.value} sent`);
    });
    const signal = element("span.signal", {}, name, send);
    return {
      node: element("div.actions", {}, stop, signal, again, edit, remove),
      show(job) {
        const isOver = hasEnded(job);
        stop.hidden = isOver;
        stop.disabled = job.cancel_requested;
        signal.hidden = job.state !== "running";
        again.hidden = remove.hidden = !isOver;
      },
    };
  }

  #makeBar() {
    const choices = [["Both", ["stdout", "stderr"]], ["stdout", ["stdout"]], ["stderr", ["stderr"]]];
    const buttons = choices.map(([name, streams], at) => {
      const click = () => {
        buttons.forEach((other, index) => other.setAttribute("aria-pressed", index === at));
        setText(this.#note, "");
        this.#feed.show(streams);
      };
      return element("button", { type: "button", "aria-pressed": String(at === 0), click }, name);
    });
    const downloads = ["stdout", "stderr"].map((stream) =>
      element("a", { href: `/v1/jobs/${this.#id}/${stream}`, download: `${this.#id}.${stream}.txt` }, stream),
    );
    return element(
      "div.output-bar",
      {},
      element("div.choice", { role: "group", "aria-label": "Streams" }, buttons),
      this.#note,
      element("span.downloads", {}, "Download ", downloads),
    );
  }

  #makeInput() {
    const line = element("input", {
      type: "text", placeholder: "A line for its stdin", "aria-label": "A line for its stdin",
      autocomplete: "off", autocapitalize: "off", spellcheck: "false",
    });
    const submit = async (event) => {
      event.preventDefault();
      if (await attempt(() => sendInput(this.#id, `${line.value}\n`))) line.value = "";
    };
    const end = button("End of input", async () => {
      await sendInput(this.#id, "", true);
      this.#input.hidden = true;
    });
    return element("form.input", { submit, hidden: true }, element("span.prompt", { "aria-hidden": "true" }, "›"), line,
      element("button", { type: "submit" }, "Send"), end);
  }

  /** Show the line for input where the job takes any: writing nothing finds out. */
  async #offerInput() {
    if (this.#hasAskedForInput) return;
    this.#hasAskedForInput = true;
    try {
      await sendInput(this.#id, "");
      this.#input.hidden = this.#job.state !== "running";
    } catch (error) {
      if (error.status !== 409) this.#hasAskedForInput = false; // 409: its stdin is not open
    }
  }

  async #again() {
    const spec = Object.fromEntries(SPEC.map((name) => [name, this.#job[name]]));
    const job = await submit(spec);
    this.#jobs.put(job);
    this.#go.job(job.id);
  }

  async #forget() {
    if (!confirm("Delete this job and its output for good?")) return;
    await forget(this.#id);
    this.#go.list();
  }

  #tellFailed(error) {
    const isMissing = error.status === 404;
    this.node.classList.toggle("is-missing", isMissing);
    setText(this.#note, isMissing ? "There is no such job (any more)." : messageOf(error));
  }

  #tellFull() {
    if (this.#screen.isFull) setText(this.#note, `The last ${SCROLLBACK.toLocaleString("en-US")} lines`);
  }
}

function button(name, act, kind = "plain") {
  const made = element(`button.${kind}`, {
    type: "button",
    click: async () => {
      made.disabled = true;
      await attempt(act);
      made.disabled = false;
    },
  }, name);
  return made;
}
