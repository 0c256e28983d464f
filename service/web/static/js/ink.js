// Tells streams apart: each is written in colours of its own, and what one sets the other does not see.

export const STDERR_COLOR = 232; // of the 256; screen.js says what it looks like

const RESET = "\x1b[0m";
const BASE = { stdout: "", stderr: `\x1b[38;5;${STDERR_COLOR}m` };
const SGR = /\x1b\[([\d;:]*)m/g;
const CUT = /\x1b(?:\[[\d;:]*)?$/; // a sequence whose rest is still to come
const SEQUENCES_KEPT = 32;

export class Ink {
  #set = { stdout: [], stderr: [] }; // what each stream has set since its last reset
  #held = { stdout: "", stderr: "" };
  #stream = null;

  /** Return a stream's text as it is to be written after what was written before. */
  of(stream, text) {
    const all = this.#held[stream] + text;
    this.#held[stream] = CUT.exec(all)?.[0] ?? "";
    const whole = all.slice(0, all.length - this.#held[stream].length);
    const colors = this.#stream === stream ? "" : this.#colors(stream);
    this.#stream = stream;
    return colors + whole.replace(SGR, (_, given) => this.#take(stream, given));
  }

  /** Return a text of ours, which leaves the streams' colours as they are. */
  aside(text) {
    this.#stream = null;
    return RESET + text;
  }

  #colors(stream) {
    return RESET + BASE[stream] + this.#set[stream].join("");
  }

  #take(stream, given) {
    const { isReset, rest, hasDefault } = parse(given);
    if (isReset) this.#set[stream] = [];
    const sequence = (rest.length ? `\x1b[${rest.join(";")}m` : "") + (hasDefault ? BASE[stream] : "");
    this.#set[stream] = [...this.#set[stream], sequence].slice(-SEQUENCES_KEPT);
    return isReset ? RESET + BASE[stream] + sequence : sequence;
  }
}

/** Of "0;31": whether it resets, what it sets after that, and whether it ends in the default colour. */
function parse(given) {
  const atoms = given.split(";");
  let [from, color] = [0, null];
  for (let at = 0; at < atoms.length; at++) {
    const atom = atoms[at];
    if (Number(atom) === 0) [from, color] = [at + 1, null];
    if (atom === "39") color = "default";
    if (/^(3[0-8]|9[0-7])(:|$)/.test(atom)) color = "own";
    if (["38", "48", "58"].includes(atom)) at += atoms[at + 1] === "5" ? 2 : 4; // its colour follows
  }
  return { isReset: from > 0, rest: atoms.slice(from), hasDefault: color === "default" };
}
