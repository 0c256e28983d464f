// What happens to jobs, as it happens. A tab that nobody sees lets go of its connection: a browser
// has few of them for one address, and all tabs share them.

const AGAIN_MS = 1000;

/** Follows /v1/events while it is open: `changed(job)` for each change, `fresh()` when some may have been missed. */
export class Live {
  #source = null;
  #timer = 0;

  constructor({ changed, fresh, connected }) {
    this.changed = changed;
    this.fresh = fresh;
    this.connected = connected;
  }

  open() {
    document.addEventListener("visibilitychange", this.#onVisibility);
    this.#onVisibility();
  }

  close() {
    document.removeEventListener("visibilitychange", this.#onVisibility);
    this.#disconnect();
  }

  #onVisibility = () => {
    if (document.hidden) this.#disconnect();
    else if (this.#source === null) this.#connect();
  };

  #connect() {
    const source = new EventSource("/v1/events");
    let isFirst = true;
    this.#source = source;
    source.addEventListener("state", (event) => this.changed(JSON.parse(event.data)));
    source.addEventListener("open", () => {
      this.connected(true);
      if (isFirst) this.fresh();
      isFirst = false; // from here on the browser resumes after the last event by itself
    });
    source.addEventListener("error", () => {
      this.connected(false);
      if (source.readyState !== EventSource.CLOSED) return;
      this.#disconnect(); // refused, by a process that is stopping for example
      this.#timer = setTimeout(() => this.#onVisibility(), AGAIN_MS);
    });
  }

  #disconnect() {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
  }
}
