// What can be done to a job.

import { cancel, forget, rerun, sendSignal } from "./api.js";
import { element } from "./element.js";
import { hasEnded } from "./jobs.js";
import { attempt, notify } from "./notice.js";

const SIGNALS = ["SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGSTOP", "SIGCONT", "SIGTERM", "SIGKILL"];

export class Actions {
  #cancel;
  #signal;
  #rerun;
  #delete;

  /** `on.changed(job)`, `on.accepted(job)`, `on.edit()`, `on.deleted()` tell what was done. */
  constructor(id, on) {
    this.#cancel = button("Cancel", async () => on.changed(await cancel(id)), "danger");
    this.#rerun = button("Rerun", async () => on.accepted(await rerun(id)), "primary");
    this.#delete = button("Delete", async () => {
      if (!confirm("Delete this job and its output for good?")) return;
      await forget(id);
      on.deleted();
    });
    this.#signal = signalling(id);
    const edit = button("Edit and run", async () => on.edit());
    this.node = element("div.actions", { role: "group", "aria-label": "Actions" }, this.#cancel, this.#signal, this.#rerun, edit, this.#delete);
  }

  show(job) {
    const isOver = hasEnded(job);
    this.#cancel.hidden = isOver;
    this.#cancel.disabled = job.cancel_requested;
    this.#signal.hidden = job.state !== "running";
    this.#rerun.hidden = this.#delete.hidden = !isOver;
  }
}

function signalling(id) {
  const name = element("select", { "aria-label": "Signal" }, SIGNALS.map((signal) => element("option", {}, signal)));
  const send = button("Send", async () => {
    await sendSignal(id, name.value);
    notify(`${name.value} sent`);
  });
  send.setAttribute("aria-label", "Send the signal");
  return element("span.signal", {}, name, send);
}

export function button(name, act, kind = "plain") {
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
