// Puts a text on the clipboard, also where the browser has no clipboard for pages without TLS.

import { notify } from "./notice.js";

export async function copy(text, what) {
  const isDone = await write(text);
  notify(isDone ? `${what} copied` : "The browser refused to copy", isDone ? "info" : "error");
}

async function write(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return writeSelected(text); // not there, or not allowed
  }
}

function writeSelected(text) {
  const focused = document.activeElement;
  const place = document.createElement("textarea");
  place.value = text;
  document.body.append(place);
  place.select();
  const isDone = document.execCommand("copy");
  place.remove();
  focused?.focus();
  return isDone;
}
