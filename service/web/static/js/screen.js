// A terminal that shows output and takes no input. What it is told never leaves it: titles,
// the clipboard, links and questions to the terminal are heard by nobody.

import { FitAddon } from "/static/vendor/xterm/addon-fit.mjs";
import { Terminal } from "/static/vendor/xterm/xterm.mjs";

import { element } from "./element.js";
import * as styles from "./styles.js";
import * as theme from "./theme.js";
import { scrollByTouch } from "./touch.js";

export const SCROLLBACK = 10_000;
const COLUMNS_LEAST = 80; // what programs reckon with; a narrow window scrolls sideways

const LIGHT = {
  background: "#ffffff", foreground: "#1f2530", cursor: "#ffffff00", selectionBackground: "#bcd2ff",
  black: "#1f2530", red: "#c4232f", green: "#1a7f45", yellow: "#946200", blue: "#2257d6", magenta: "#9333c4", cyan: "#0b7a8a", white: "#8a93a3",
  brightBlack: "#6b7485", brightRed: "#dc3545", brightGreen: "#239a56", brightYellow: "#b27a06", brightBlue: "#4377f0",
  brightMagenta: "#ab50db", brightCyan: "#1495a7", brightWhite: "#4a5264",
  scrollbarSliderBackground: "#1f253026", scrollbarSliderHoverBackground: "#1f253040", scrollbarSliderActiveBackground: "#1f253059",
};
const DARK = {
  background: "#0d1017", foreground: "#d5dae3", cursor: "#0d101700", selectionBackground: "#2b4a86",
  black: "#2a303c", red: "#f2707a", green: "#6fcf8f", yellow: "#e5c169", blue: "#7aa5ff", magenta: "#cf93f0", cyan: "#62cfdb", white: "#c3cad6",
  brightBlack: "#717b8d", brightRed: "#ff939b", brightGreen: "#92e6ac", brightYellow: "#f5d990", brightBlue: "#a1c0ff",
  brightMagenta: "#e2b6fb", brightCyan: "#8fe6ee", brightWhite: "#f4f6fa",
  scrollbarSliderBackground: "#ffffff26", scrollbarSliderHoverBackground: "#ffffff40", scrollbarSliderActiveBackground: "#ffffff59",
};

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
  #sizes = new ResizeObserver(() => this.#resize());
  #unsubscribe;

  constructor() {
    this.node = element("div.screen", { role: "region", "aria-label": "Output" });
    this.#terminal = new Terminal({
      convertEol: true,
      disableStdin: true,
      fontFamily: getComputedStyle(document.documentElement).getPropertyValue("--mono"),
      fontSize: matchMedia("(max-width: 40rem)").matches ? 11 : 13,
      lineHeight: 1.25,
      linkHandler: { activate() {} },
      logLevel: "off",
      scrollback: SCROLLBACK,
      theme: theme.isDark() ? DARK : LIGHT,
    });
    this.#terminal.loadAddon(this.#fit);
    this.#terminal.attachCustomKeyEventHandler((event) => this.#key(event));
    const lineHeight = () => this.node.clientHeight / this.#terminal.rows;
    scrollByTouch(this.node, lineHeight, (lines) => this.#terminal.scrollLines(lines));
    this.#unsubscribe = theme.subscribe(() => (this.#terminal.options.theme = theme.isDark() ? DARK : LIGHT));
  }

  /** Call once the node is in the page. */
  open() {
    this.#terminal.open(this.node);
    this.#terminal.textarea.setAttribute("aria-label", "Output; scroll with the arrow and page keys");
    this.#terminal.textarea.readOnly = true;
    this.#resize();
    this.#sizes.observe(this.node);
  }

  /** Returns once it is taken: who waits for that never has more than one piece under way. */
  async write(text) {
    await new Promise((resolve) => this.#terminal.write(text, resolve));
    this.node.classList.toggle("scrolls", this.#terminal.buffer.active.baseY > 0);
  }

  clear() {
    this.#terminal.reset();
  }

  /** Whether lines were lost at the top. */
  get isFull() {
    return this.#terminal.buffer.active.length >= SCROLLBACK + this.#terminal.rows;
  }

  focus() {
    this.#terminal.focus();
  }

  close() {
    this.#sizes.disconnect();
    this.#unsubscribe();
    this.#terminal.dispose();
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
    if (fitting?.cols) this.#terminal.resize(Math.max(fitting.cols, COLUMNS_LEAST), Math.max(fitting.rows, 1));
  }
}
