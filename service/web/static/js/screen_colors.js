// What the terminal's colours look like, in light and dark.

import { STDERR_COLOR } from "./ink.js";

/** The first of the 256 that are a theme's own is number 16. */
function extended(stderr) {
  const colors = [];
  colors[STDERR_COLOR - 16] = stderr;
  return colors;
}

export const COLORS = {
  light: {
    background: "#ffffff", foreground: "#1f2530", cursor: "#ffffff00", selectionBackground: "#bcd2ff",
    black: "#1f2530", red: "#c4232f", green: "#1a7f45", yellow: "#946200", blue: "#2257d6", magenta: "#9333c4", cyan: "#0b7a8a", white: "#8a93a3",
    brightBlack: "#6b7485", brightRed: "#dc3545", brightGreen: "#239a56", brightYellow: "#b27a06", brightBlue: "#4377f0",
    brightMagenta: "#ab50db", brightCyan: "#1495a7", brightWhite: "#4a5264",
    extendedAnsi: extended("#a13d22"),
    scrollbarSliderBackground: "#1f253026", scrollbarSliderHoverBackground: "#1f253040", scrollbarSliderActiveBackground: "#1f253059",
  },
  dark: {
    background: "#0d1017", foreground: "#d5dae3", cursor: "#0d101700", selectionBackground: "#2b4a86",
    black: "#2a303c", red: "#f2707a", green: "#6fcf8f", yellow: "#e5c169", blue: "#7aa5ff", magenta: "#cf93f0", cyan: "#62cfdb", white: "#c3cad6",
    brightBlack: "#717b8d", brightRed: "#ff939b", brightGreen: "#92e6ac", brightYellow: "#f5d990", brightBlue: "#a1c0ff",
    brightMagenta: "#e2b6fb", brightCyan: "#8fe6ee", brightWhite: "#f4f6fa",
    extendedAnsi: extended("#f0a585"),
    scrollbarSliderBackground: "#ffffff26", scrollbarSliderHoverBackground: "#ffffff40", scrollbarSliderActiveBackground: "#ffffff59",
  },
};

/** How the search marks what it finds, and the one that it is at. */
export const MARKS = {
  light: marks("#ffe9a8", "#ffc24d"),
  dark: marks("#4a4016", "#8a5a00"),
};

function marks(each, active) {
  return {
    matchBackground: each, matchOverviewRuler: each, activeMatchBackground: active, activeMatchColorOverviewRuler: active,
  };
}
