// Puts a job's output on a screen as it comes, a piece at a time: what is not shown yet stays with
// the service. Lets go while nobody looks at the tab, and goes on where it was.

import { bytes } from "./format.js";
import { follow } from "./output.js";

export class Feed {
  #id;
  #screen;
  #seen = 0;
  #streams = new Set(["stdout", "stderr"]);
  #decoders = {};
  #control = null;
  #hasEnded = false;

  /** `on.shown()` after each piece, `on.ended(job)` at the end, `on.failed(error)` when refused. */
  constructor(id, screen, on) {
    this.#id = id;
    this.#screen = screen;
    this.on = on;
  }

  open() {
    document.addEventListener("visibilitychange", this.#onVisibility);
    this.#onVisibility();
  }

  close() {
    document.removeEventListener("visibilitychange", this.#onVisibility);
    this.#stop();
  }

  /** Begin again, showing these streams only. */
  show(streams) {
    this.#stop();
    this.#streams = new Set(streams);
    this.#seen = 0;
    this.#decoders = {};
    this.#hasEnded = false;
    this.#screen.clear();
    this.#onVisibility();
  }

  #onVisibility = () => {
    if (document.hidden) this.#stop();
    else if (this.#control === null && !this.#hasEnded) this.#run();
  };

  #stop() {
    this.#control?.abort();
    this.#control = null;
  }

  async #run() {
    const control = (this.#control = new AbortController());
    try {
      const items = follow(this.#id, this.#seen, control.signal);
      for (;;) {
        const { done, value } = await items.next();
        if (control.signal.aborted) return;
        if (done) {
          this.#hasEnded = true;
          this.on.ended(value);
          return;
        }
        this.#seen = value.at(-1).seq;
        await this.#screen.write(this.#textOf(value));
        this.on.shown();
      }
    } catch (error) {
      if (!control.signal.aborted) this.on.failed(error);
    }
  }

  #textOf(items) {
    const wanted = items.filter((item) => this.#streams.has(item.stream));
    return wanted.map((item) => (item.dropped ? gap(item) : this.#decode(item))).join("");
  }

  /** Bytes that are no text by themselves may be half a character: the other half follows. */
  #decode({ stream, text, base64 }) {
    this.#decoders[stream] ??= new TextDecoder();
    const decoder = this.#decoders[stream];
    if (base64 === undefined) return decoder.decode() + text;
    return decoder.decode(Uint8Array.from(atob(base64), (character) => character.charCodeAt(0)), { stream: true });
  }
}

function gap({ stream, dropped }) {
  return `\x1b[0m\n\x1b[7m ${bytes(dropped)} of ${stream} not kept \x1b[0m\n`;
}
