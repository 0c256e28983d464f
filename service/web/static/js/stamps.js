// Puts before each line when it came, and from which stream.

import { moment } from "./format.js";

const QUIET = "\x1b[90m";
const TOKENS = /[^\r\n]+|\r+|\n/g;

export class Stamps {
  #ink;
  #stream = null;
  #isStart = true;
  #hasReturned = false;

  constructor(ink) {
    this.#ink = ink;
  }

  /** Return a piece of a stream's text with stamps; a line that is written over gets a new one. */
  of(stream, time, text) {
    const stamp = `${QUIET}${moment(time)} ${stream === "stderr" ? "err" : "out"} `;
    const isCut = this.#stream !== null && this.#stream !== stream && !this.#isStart;
    this.#stream = stream;
    this.#isStart ||= isCut;
    const stamped = (text.match(TOKENS) ?? []).map((token) => this.#stamped(stream, token, stamp)).join("");
    return (isCut ? this.#ink.aside("\n") : "") + stamped;
  }

  /** Return a text of ours, which is a line of its own. */
  aside(text) {
    const isCut = !this.#isStart;
    this.#isStart = true;
    return (isCut ? "\n" : "") + this.#ink.aside(text);
  }

  #stamped(stream, token, stamp) {
    const isText = token !== "\n" && token[0] !== "\r";
    const isBlankLine = token === "\n" && !this.#hasReturned;
    const isWanted = this.#isStart && (isText || isBlankLine);
    this.#isStart = !isText;
    this.#hasReturned = token[0] === "\r";
    return (isWanted ? this.#ink.aside(stamp) : "") + this.#ink.of(stream, token);
  }
}
