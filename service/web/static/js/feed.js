// Puts a job's output on a screen as it comes, a piece at a time: what is not shown yet stays with
// the service. Lets go while nobody looks at the tab, and goes on where it was.

import { bytes } from "./format.js";
import { Ink } from "./ink.js";
import { follow } from "./output.js";
import { Stamps } from "./stamps.js";

export class Feed {
  #id;
  #screen;
  #streams = ["stdout", "stderr"];
  #hasStamps = false;
  #control = null;
  #seen;
  #ink;
  #stamps;
  #decoders;
  #hasEnded;

  /** `on.shown(count, hasStderr)` after so many pieces, of which some may be of stderr though it is not shown, `on.ended(job)` at the end, `on.failed(error)` when refused. */
  constructor(id, screen, on) {
    this.#id = id;
    this.#screen = screen;
    this.on = on;
    this.#begin();
  }

  open() {
    document.addEventListener("visibilitychange", this.#onVisibility);
    this.#onVisibility();
  }

  close() {
    document.removeEventListener("visibilitychange", this.#onVisibility);
    this.#stop();
  }

  /** Begin again, showing these streams only, with the time of each line or without. */
  show(streams, hasStamps) {
    this.#stop();
    this.#streams = streams;
    this.#hasStamps = hasStamps;
    this.#begin();
    this.#screen.clear();
    this.#onVisibility();
  }

  #begin() {
    this.#seen = 0;
    this.#ink = new Ink();
    this.#stamps = new Stamps(this.#ink);
    this.#decoders = {};
    this.#hasEnded = false;
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
        const wanted = value.filter((item) => this.#streams.includes(item.stream));
        await this.#screen.write(wanted.map((item) => this.#textOf(item)).join(""));
        if (!control.signal.aborted) this.on.shown(wanted.length, value.some(({ stream }) => stream === "stderr"));
      }
    } catch (error) {
      if (!control.signal.aborted) this.on.failed(error);
    }
  }

  #textOf(item) {
    if (item.dropped) return this.#gap(item);
    const text = this.#decode(item);
    return this.#hasStamps ? this.#stamps.of(item.stream, item.time, text) : this.#ink.of(item.stream, text);
  }

  /** Bytes that are no text by themselves may be half a character: the other half follows. */
  #decode({ stream, text, base64 }) {
    this.#decoders[stream] ??= new TextDecoder();
    const decoder = this.#decoders[stream];
    if (base64 === undefined) return decoder.decode() + text;
    return decoder.decode(Uint8Array.from(atob(base64), (character) => character.charCodeAt(0)), { stream: true });
  }

  #gap({ stream, dropped }) {
    const text = `\n\x1b[7m ${bytes(dropped)} of ${stream} not kept \x1b[0m\n`;
    return this.#hasStamps ? this.#stamps.aside(text) : this.#ink.aside(text);
  }
}
