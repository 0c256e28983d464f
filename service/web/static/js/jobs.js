// The jobs that the page knows of, newest first, and who wants to hear of changes.

const RANK = { queued: 0, running: 1 };
const KEPT = 3000;

export const STATES = ["queued", "running", "succeeded", "failed", "cancelled", "lost"];

export function hasEnded(job) {
  return rank(job) === 2;
}

/** Whether `job` is older news than `known`: events and answers may overtake each other. */
export function isStale(job, known) {
  return known !== undefined && rank(job) < rank(known);
}

function rank(job) {
  return RANK[job.state] ?? 2;
}

export class Jobs {
  #byId = new Map();
  #listeners = new Set();

  /** Call `listener(job, before)` at each change, `before` being undefined the first time. */
  subscribe(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  get(id) {
    return this.#byId.get(id);
  }

  put(job) {
    const before = this.#byId.get(job.id);
    if (isStale(job, before)) return;
    this.#byId.set(job.id, job);
    if (this.#byId.size > KEPT) this.#forgetOldest();
    for (const listener of this.#listeners) listener(job, before);
  }

  #forgetOldest() {
    const ids = [...this.#byId.keys()].sort(); // ids rise with time
    for (const id of ids.slice(0, KEPT / 3)) {
      if (hasEnded(this.#byId.get(id))) this.#byId.delete(id);
    }
  }
}
