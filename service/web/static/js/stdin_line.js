// A line for the standard input of a job that reads what is typed.

import { sendInput } from "./api.js";
import { button } from "./actions.js";
import { element } from "./element.js";
import { attempt } from "./notice.js";

export class StdinLine {
  #id;
  #hasAsked = false;
  #isRunning = false;
  #line = element("input", {
    type: "text", placeholder: "A line for its stdin", "aria-label": "A line for its stdin",
    autocomplete: "off", autocapitalize: "off", spellcheck: "false",
  });

  constructor(id) {
    this.#id = id;
    const end = button("End of input", async () => {
      await sendInput(id, "", true);
      this.node.hidden = true;
    });
    this.node = element(
      "form.input",
      { submit: (event) => this.#submit(event), hidden: true, "aria-label": "Standard input" },
      element("span.prompt", { "aria-hidden": "true" }, "›"),
      this.#line,
      element("button", { type: "submit" }, "Send"),
      end,
    );
  }

  show(job) {
    this.#isRunning = job.state === "running";
    if (this.#isRunning) this.#offer();
    else this.node.hidden = true;
  }

  /** Be there where the job takes any: writing nothing finds out. */
  async #offer() {
    if (this.#hasAsked) return;
    this.#hasAsked = true;
    try {
      await sendInput(this.#id, "");
    } catch (error) {
      if (error.status !== 409) this.#hasAsked = false; // 409: its stdin is not open
      return;
    }
    this.node.hidden = !this.#isRunning;
    // whoever is at something else already is not disturbed
    if (!document.activeElement || document.activeElement.matches("body, h1")) this.#line.focus({ preventScroll: true });
  }

  async #submit(event) {
    event.preventDefault();
    if (await attempt(() => sendInput(this.#id, `${this.#line.value}\n`))) this.#line.value = "";
  }
}
