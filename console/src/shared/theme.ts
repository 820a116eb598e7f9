// Dark, light, or as the device has it.
import { keepSetting, readSetting } from "./language";
import { createStore } from "./store";

export type Theme = "auto" | "light" | "dark";
const KEY = "loa.theme";

function stored(): Theme {
  const theme = readSetting(KEY);
  return theme === "light" || theme === "dark" ? theme : "auto";
}

const device = window.matchMedia("(prefers-color-scheme: dark)");

/** What was chosen. */
export const theme = createStore<Theme>(stored());
/** What is on the screen. */
export const dark = createStore<boolean>(false);

/** Puts the theme on the page; the style sheet does the rest. */
export function applyTheme(): void {
  const now = theme.get() === "auto" ? (device.matches ? "dark" : "light") : theme.get();
  document.documentElement.dataset.theme = now;
  dark.set(now === "dark");
}

// Old Safaris know no `addEventListener` here.
device.addEventListener?.("change", applyTheme);

export function setTheme(next: Theme): void {
  keepSetting(KEY, next);
  theme.set(next);
  applyTheme();
}
