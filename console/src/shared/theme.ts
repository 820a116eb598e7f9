// Dark, light, or as the device has it.
import { keepSetting, readSetting } from "./language";
import { createStore } from "./store";

export type Theme = "auto" | "light" | "dark";
const KEY = "loa.theme";

function stored(): Theme {
  const theme = readSetting(KEY);
  return theme === "light" || theme === "dark" ? theme : "auto";
}

export const theme = createStore<Theme>(stored());

/** Puts the theme on the page; the style sheet does the rest. */
export function applyTheme(): void {
  const root = document.documentElement;
  if (theme.get() === "auto") delete root.dataset.theme;
  else root.dataset.theme = theme.get();
}

export function setTheme(next: Theme): void {
  keepSetting(KEY, next);
  theme.set(next);
  applyTheme();
}
