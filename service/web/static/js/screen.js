// A terminal that shows output and takes no input. What it is told never leaves it: titles,
// the clipboard, links and questions to the terminal are heard by nobody.

import { FitAddon } from "/static/vendor/xterm/addon-fit.mjs";
import { SearchAddon } from "/static/vendor/xterm/addon-search.mjs";
import { Terminal } from "/static/vendor/xterm/xterm.mjs";

import { element } from "./element.js";
import { COLORS, MARKS } from "./screen_colors.js";
import * as styles from "./styles.js";
import * as theme from "./theme.js";
import { scrollByTouch } from "./touch.js";

export const SCROLLBACK = 10_000;
const COLUMNS_LEAST = 20;
const COLUMNS_MOST = 500; // unwrapped; each line of the scrollback has room for so many
const LONE_RETURN = /\r+(?![\r\n])/;

styles.install();

const SCROLL = {
  PageUp: (terminal) => terminal.scrollPages(-1),
  PageDown: (terminal) => terminal.scrollPages(1),
  Home: (terminal) => terminal.scrollToTop(),
  End: (terminal) => terminal.scrollToBottom(),
  ArrowUp: (terminal) => terminal.scrollLines(-1),
  ArrowDown: (terminal) => terminal.scrollLines(1),
};

export class Screen {
  #terminal;
  #fit = new FitAddon();
  #search = new SearchAddon({ highlightLimit: 2000 });
  #sizes = new ResizeObserver(() => this.#resize());
  #unsubscribe;
  #wraps = true;
  #columns = 0; // so many it needs without wrapping
  #rest = ""; // the line that is not at its end
  #held = ""; // carriage returns: whether a line feed follows tells what they mean

  constructor() {
    this.node = element("div.screen", { role: "region", "aria-label": "Output" });
    this.#terminal = new Terminal({
      allowProposedApi: true, // the search marks what it finds
      convertEol: true,
      disableStdin: true,
      fontFamily: getComputedStyle(document.documentElement).getPropertyValue("--mono"),
      fontSize: matchMedia("(max-width: 40rem)").matches ? 11 : 13,
      lineHeight: 1.25,
      linkHandler: { activate() {} },
      logLevel: "off",
      minimumContrastRatio: 4.5,
      reflowCursorLine: true,
      screenReaderMode: true,
      scrollback: SCROLLBACK,
      theme: COLORS[theme.name()],
    });
    this.#terminal.loadAddon(this.#fit);
    this.#terminal.loadAddon(this.#search);
    this.#terminal.attachCustomKeyEventHandler((event) => this.#key(event));
    const lineHeight = () => this.node.clientHeight / this.#terminal.rows;
    scrollByTouch(this.node, lineHeight, (lines) => this.#terminal.scrollLines(lines));
    this.#unsubscribe = theme.subscribe(() => (this.#terminal.options.theme = COLORS[theme.name()]));
  }

  /** Call once the node is in the page. */
  open() {
    this.#terminal.open(this.node);
    this.#terminal.textarea.setAttribute("aria-label", "Output; scroll with the arrow and page keys");
    this.#terminal.textarea.readOnly = true;
    this.node.querySelector("[aria-live]")?.setAttribute("aria-live", "polite"); // a log, not an alarm
    this.#resize();
    this.#sizes.observe(this.node);
  }

  /** Returns once it is taken: who waits for that never has more than one piece under way. */
  async write(text) {
    const all = this.#held + text;
    this.#held = /\r*$/.exec(all)[0];
    const pieces = all.slice(0, all.length - this.#held.length).split(LONE_RETURN);
    await new Promise((resolve) => this.#writeFrom(pieces, 0, resolve));
    if (!this.#wraps) this.#widen(all);
    this.node.classList.toggle("scrolls", this.#terminal.buffer.active.baseY > 0);
  }

  clear() {
    this.#held = this.#rest = "";
    this.#columns = 0;
    this.#terminal.reset();
    this.#resize();
  }

  /** Whether lines were lost at the top. */
  get isFull() {
    return this.#terminal.buffer.active.length >= SCROLLBACK + this.#terminal.rows;
  }

  /** Break lines at the window's edge, or let them run on to the right. */
  set wraps(wraps) {
    this.#wraps = wraps;
    this.#columns = wraps ? 0 : this.#longest();
    this.#resize();
  }

  /** What is marked, or else all lines there are. */
  text() {
    return this.#terminal.getSelection() || [...this.#lines()].join("\n").replace(/\n*$/, "\n");
  }

  /** Go to the next place where a text stands, or to the one before. */
  find(text, isBackwards = false, incremental = false) {
    const options = { incremental, decorations: MARKS[theme.name()] };
    if (text === "") this.#search.clearDecorations();
    else if (isBackwards) this.#search.findPrevious(text, options);
    else this.#search.findNext(text, options);
  }

  /** `call({resultIndex, resultCount})` whenever what is found changes; the index is -1 past 2,000. */
  whenFound(call) {
    this.#search.onDidChangeResults(call);
  }

  focus() {
    this.#terminal.focus();
  }

  close() {
    this.#sizes.disconnect();
    this.#unsubscribe();
    this.#terminal.dispose();
  }

  /** A callback runs before the next piece is read, so that it sees the screen as the piece left it. */
  #writeFrom(pieces, at, done) {
    const start = at > 0 ? this.#lineStart() : "";
    const next = () => (at + 1 < pieces.length ? this.#writeFrom(pieces, at + 1, done) : done());
    this.#terminal.write(start + pieces[at], next);
  }

  /**
   * A carriage return leads to the start of the line. A terminal knows rows only: where a line is
   * broken over several, a progress bar would leave a piece of itself behind each time.
   */
  #lineStart() {
    const { baseY, cursorY } = this.#terminal.buffer.active;
    let rows = 0;
    while (this.#terminal.buffer.active.getLine(baseY + cursorY - rows)?.isWrapped) rows++;
    return rows ? `\x1b[${rows}A\r\x1b[J` : "\r";
  }

  /** Keys scroll; all others are the page's: Tab leaves, Ctrl-C copies. */
  #key(event) {
    const scroll = SCROLL[event.key];
    if (scroll && event.type === "keydown" && !event.ctrlKey && !event.altKey) {
      scroll(this.#terminal);
      event.preventDefault();
    }
    return false;
  }

  #resize() {
    const fitting = this.node.clientHeight ? this.#fit.proposeDimensions() : undefined;
    if (!fitting?.cols) return;
    const columns = Math.max(fitting.cols, COLUMNS_LEAST, this.#columns);
    this.#terminal.resize(columns, Math.max(fitting.rows, 1));
  }

  /** Make room for the lines of what was written, until none is broken. */
  #widen(text) {
    const lines = text.split("\n");
    lines[0] = this.#rest + lines[0];
    this.#rest = lines.at(-1).slice(-COLUMNS_MOST);
    if (lines.every((line) => line.length <= this.#terminal.cols)) return;
    const longest = this.#longest(); // what is on the screen: of the text, escapes take no room there
    if (longest <= this.#terminal.cols) return;
    this.#columns = Math.min(longest * 2, COLUMNS_MOST); // seldom: all lines are laid out anew
    this.#resize();
  }

  #longest() {
    let longest = 0;
    for (const line of this.#lines()) longest = Math.max(longest, line.length);
    return Math.min(longest, COLUMNS_MOST);
  }

  *#lines() {
    const buffer = this.#terminal.buffer.active;
    let line = "";
    for (let at = 0; at < buffer.length; at++) {
      const isBroken = buffer.getLine(at + 1)?.isWrapped ?? false;
      line += buffer.getLine(at).translateToString(!isBroken);
      if (isBroken) continue;
      yield line;
      line = "";
    }
  }
}
