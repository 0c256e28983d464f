// Says what went wrong, or right, where a screen reader hears it too.

import { wasGivenUp } from "./api.js";
import { element } from "./element.js";

const SHOWN_MS = 6000;
const place = element("div.notices", { role: "status", "aria-live": "polite" });

export function install() {
  document.body.append(place);
}

export function notify(text, kind = "info") {
  const node = element("div.notice", { "data-kind": kind }, text);
  place.append(node);
  setTimeout(() => node.remove(), SHOWN_MS);
}

/** Do something that may be refused, and say so; true when it was done. */
export async function attempt(action) {
  try {
    await action();
    return true;
  } catch (error) {
    if (!wasGivenUp(error)) notify(messageOf(error), "error");
    return false;
  }
}

export function messageOf(error) {
  if (error.errors?.length) return error.errors.map(({ field, message }) => `${field}: ${message}`).join("; ");
  return error instanceof TypeError ? "squall cannot be reached" : error.message;
}
