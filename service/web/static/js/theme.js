// Light or dark: the system's choice, or the one made here and kept in this browser.

const KEY = "squall-theme";
const system = matchMedia("(prefers-color-scheme: dark)");
const listeners = new Set();

export function isDark() {
  const chosen = localStorage.getItem(KEY);
  return chosen ? chosen === "dark" : system.matches;
}

export function name() {
  return isDark() ? "dark" : "light";
}

export function toggle() {
  const wanted = isDark() ? "light" : "dark";
  const isSystems = (wanted === "dark") === system.matches;
  if (isSystems) localStorage.removeItem(KEY);
  else localStorage.setItem(KEY, wanted);
  apply();
}

/** Call back after each change; returns what ends that. */
export function subscribe(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function apply() {
  document.documentElement.dataset.theme = name();
  for (const listener of listeners) listener();
}

system.addEventListener("change", apply);
