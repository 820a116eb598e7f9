// This browser as a device: the places it wants to be warned for, and the secret that is its own.
// Nobody need log in.
import { createStore } from "../shared/store";
import { keepSetting, language, readSetting } from "../shared/language";
import type { Device, Place } from "./types";

const KEY = "loa.device";
const PLACES = "loa.places";
const ADDRESS = "loa.address";
/** The node takes no more. */
export const PLACES_MAX = 16;

function read<T>(key: string): T | null {
  try {
    return JSON.parse(readSetting(key) ?? "null") as T | null;
  } catch {
    return null;
  }
}

export const device = createStore<Device | null>(read<Device>(KEY));
export const places = createStore<Place[]>(read<Place[]>(PLACES) ?? []);
export const pushOn = createStore<boolean>(read(ADDRESS) !== null);
export const exercises = createStore<boolean>(readSetting("loa.exercises") === "1");

/** What proves to the node that a logged-in browser's request comes from our own page. */
export const session = createStore<string | null>(null);

export function proof(): Record<string, string> {
  const now = session.get();
  return now === null ? {} : { "X-Loa-Csrf": now };
}

/** Who asks: the device, which after a login is the citizen's; without one, the citizen's session. */
export function credentials(): Record<string, string> {
  return device.get() === null ? proof() : own();
}

function own(): Record<string, string> {
  const now = device.get();
  return now === null ? {} : { Authorization: `Loa-Device ${now.id}:${now.secret}` };
}

/** A call to the node; a refusal is thrown with the node's own words. */
export async function ask<T>(method: string, path: string, body?: unknown, headers = credentials()): Promise<T> {
  const response = await fetch(path, {
    method, headers: { ...headers, ...(body === undefined ? {} : { "Content-Type": "application/json" }) },
    body: body === undefined ? null : JSON.stringify(body),
  });
  const text = await response.text();
  if (!response.ok) {
    const problem = JSON.parse(text || "{}") as { detail?: string; title?: string };
    throw new Refused(response.status, problem.detail ?? problem.title ?? `HTTP ${response.status}`);
  }
  return (text === "" ? undefined : JSON.parse(text)) as T;
}

export class Refused extends Error {
  constructor(readonly status: number, words: string) {
    super(words);
  }
}

function wanted() {
  const address = read<object>(ADDRESS);
  return {
    places: places.get().map(({ code }) => ({ unit: code })),
    languages: language.get() === "en" ? ["en", "vi"] : ["vi", "en"],
    exercises: exercises.get(), app_version: "web-1", ...(address ? { address } : {}),
  };
}

/** Tells the node what this browser wants now; makes it a device if it is none yet. */
export async function settle(): Promise<void> {
  const now = device.get();
  if (now === null && places.get().length === 0) return;
  if (now !== null) {
    try {
      await ask("PUT", `/v1/devices/${now.id}`, wanted(), own());
      return;
    } catch (error) {
      // The node has forgotten this browser: it registers anew.
      if (!(error instanceof Refused) || ![401, 403, 404].includes(error.status)) throw error;
    }
  }
  const made = await ask<Device>("POST", "/v1/devices", wanted(), {});
  keep({ id: made.id, secret: made.secret });
}

function keep(now: Device | null): void {
  keepSetting(KEY, JSON.stringify(now));
  device.set(now);
}

/** Chooses places; what is live there comes at once. */
export async function choose(next: Place[]): Promise<void> {
  places.set(next);
  keepSetting(PLACES, JSON.stringify(next));
  await settle();
}

/** The browser's push address, or none. */
export async function setAddress(address: object | null): Promise<void> {
  keepSetting(ADDRESS, JSON.stringify(address));
  pushOn.set(address !== null);
  await settle();
}

export async function setExercises(on: boolean): Promise<void> {
  keepSetting("loa.exercises", on ? "1" : "0");
  exercises.set(on);
  await settle();
}

/** Takes this browser off the node and forgets everything here. */
export async function forget(): Promise<void> {
  const now = device.get();
  if (now !== null) await ask("DELETE", `/v1/devices/${now.id}`, undefined, own()).catch(() => undefined);
  localStorage.clear();
  keep(null);
  location.href = "/";
}
