// Vietnamese is the first language; English stands beside every text, in the place where it is used.
import { createStore } from "./store";

export type Language = "vi" | "en";

const KEY = "loa.language";

function stored(): Language {
  const language = readSetting(KEY);
  return language === "en" ? "en" : "vi";
}

/** A setting of this browser; private windows may refuse to keep any. */
export function readSetting(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

/** Keeps a setting of this browser where it lets us. */
export function keepSetting(key: string, value: string): void {
  try {
    localStorage.setItem(key, value);
  } catch {
    // The page works without; the setting is gone after a reload.
  }
}

export const language = createStore<Language>(stored());

/** Changes the language of everything on the screen. */
export function setLanguage(next: Language): void {
  keepSetting(KEY, next);
  document.documentElement.lang = next;
  language.set(next);
}

/** A text in the language of the screen. */
export function t(vi: string, en: string): string {
  return language.get() === "en" ? en : vi;
}

/** The one of a pair that is in the language of the screen. */
export function pick<T>(pair: { vi: T; en: T }): T {
  return language.get() === "en" ? pair.en : pair.vi;
}
