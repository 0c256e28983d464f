// A job's journal as it comes. Nothing is read ahead: whoever takes the items sets the pace.

import { ask } from "./api.js";

const AGAIN_MS = 500;
const AGAIN_MAX_MS = 5000;

/**
 * Follow a job's output after item `after`: yields arrays of items, then returns the ended job.
 * A connection that breaks is made again where it broke off. Problem when the job is not there.
 */
export async function* follow(id, after, signal) {
  let wait = AGAIN_MS;
  for (;;) {
    try {
      const response = await ask("GET", `/v1/jobs/${id}/output?follow=true&after=${after}`, { signal });
      for await (const lines of linesOf(response.body)) {
        const documents = lines.map((line) => JSON.parse(line));
        const items = documents.filter((document) => document.seq !== undefined);
        if (items.length) {
          after = items.at(-1).seq;
          yield items;
        }
        const end = documents.find((document) => document.job !== undefined);
        if (end) return end.job;
        wait = AGAIN_MS;
      }
    } catch (error) {
      const isFinal = signal.aborted || (error.status >= 400 && error.status < 500);
      if (isFinal) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, wait));
    if (signal.aborted) throw signal.reason;
    wait = Math.min(wait * 2, AGAIN_MAX_MS);
  }
}

/** Yields arrays of whole lines, as many as have come. */
async function* linesOf(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      const whole = lines.filter((line) => line !== "");
      if (whole.length) yield whole;
    }
  } finally {
    reader.cancel().catch(() => {}); // it broke off by itself
  }
}
