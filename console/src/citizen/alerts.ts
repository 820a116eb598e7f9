// What is known of what is going on: kept in the browser, so that it is there without a connection,
// with the time at which it was last heard of.
import { createStore } from "../shared/store";
import { keepSetting, readSetting } from "../shared/language";
import { places } from "./device";
import type { Publication } from "./types";

const KEY = "loa.alerts";
/** More than are ever live in one place; the rest is in the inbox. */
const KEPT_MAX = 60;
/** How long a withdrawal stays on the screen. */
const CANCEL_SHOWN_MS = 6 * 3600_000;

interface Kept { at: number; items: Publication[] }

function stored(): Kept {
  try {
    const kept = JSON.parse(readSetting(KEY) ?? "null") as Kept | null;
    return kept ?? { at: 0, items: [] };
  } catch {
    return { at: 0, items: [] };
  }
}

export const known = createStore<Kept>(stored());

function keep(items: Publication[]): void {
  const next = { at: Date.now(), items: items.slice(0, KEPT_MAX) };
  keepSetting(KEY, JSON.stringify(next));
  known.set(next);
}

/** Something was heard of the node, even if it is nothing new. */
export function heard(): void {
  keep(known.get().items);
}

/** One publication from a stream: it takes the place of what it supersedes. */
export function receive(publication: Publication): boolean {
  const { items } = known.get();
  if (items.some(({ id }) => id === publication.id)) return false;
  const gone = new Set(publication.supersedes ?? []);
  const rest = items.filter((one) => one.chain !== publication.chain && !gone.has(one.id));
  keep([publication, ...rest]);
  return true;
}

/** A server's clock in a header has whole seconds. */
const SECOND_MS = 1_000;

/**
 * The public list of what is active, as it was at `listed`: caches on the way may keep it for a few
 * seconds, so what came later by the live line stays. Own things that are not public stay too.
 */
export function replace(active: Publication[], listed: number): void {
  const { items } = known.get();
  const later = items.filter((one) => Date.parse(one.accepted_at) + SECOND_MS > listed);
  const newest = new Set(later.map(({ chain }) => chain));
  const list = active.filter(({ chain }) => !newest.has(chain));
  const chains = new Set([...newest, ...list.map(({ chain }) => chain)]);
  const own = items.filter(
    (one) => !chains.has(one.chain) && (one.kind !== "alert" || one.exercise || one.action === "cancel"),
  );
  keep([...later, ...list, ...own]);
}

/** What is on the screen now: neither expired nor elsewhere, the gravest and newest first. */
export function current(items: Publication[], now: number): Publication[] {
  const mine = new Set(places.get().map(({ code }) => code));
  return items
    .filter((one) => one.kind === "alert" && Date.parse(one.expires) > now)
    .filter((one) => one.action !== "cancel" || now - Date.parse(one.accepted_at) < CANCEL_SHOWN_MS)
    .filter((one) => mine.size === 0 || one.exercise || one.area?.units.some((code) => mine.has(code)))
    .sort((a, b) => rank(a) - rank(b) || b.accepted_at.localeCompare(a.accepted_at));
}

function rank(one: Publication): number {
  if (one.action === "cancel") return 9;
  return ["Extreme", "Severe", "Moderate", "Minor"].indexOf(one.severity ?? "") + 1 || 8;
}
