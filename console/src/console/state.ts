// What the pages share: the session, the city, drafts and publications, kept fresh by one event
// stream. After a break of the stream the lists are loaded again, because nothing is replayed.
import { t } from "../shared/language";
import { createStore } from "../shared/store";
import { ApiError, get, post, useCsrf, wordsOf } from "./api";
import type { Agency, Draft, FunnelEvent, Person, Provider, Row, Session, Template, Units } from "./types";

/** Publications kept in the list of a page; older ones are found under Prove. */
const ROWS_MAX = 200;
/** While the stream is cut the lists are asked for this often. */
const POLL_MS = 10_000;

export const session = createStore<Session | null | undefined>(undefined);
/** People one manages, for their names. */
export const people = createStore<Person[]>([]);
export const units = createStore<Units | null>(null);
export const templates = createStore<Template[]>([]);
/** The agencies one may see, for their names. */
export const agencies = createStore<Agency[]>([]);
export const drafts = createStore<Draft[]>([]);
export const rows = createStore<Row[]>([]);
export const providers = createStore<Provider[]>([]);
export const funnels = createStore<ReadonlyMap<string, FunnelEvent>>(new Map());
/** How often it was heard that people answered, by publication. */
export const answered = createStore<ReadonlyMap<string, number>>(new Map());
export const connected = createStore<boolean>(false);
export const linkTest = createStore<number>(0);
export const toasts = createStore<readonly { id: number; text: string; bad: boolean }[]>([]);

let stream: EventSource | null = null;
let toastId = 0;
let polling: ReturnType<typeof setInterval> | undefined;

/** Says something for a few seconds, also to a screen reader. */
export function say(text: string, bad = false): void {
  const id = ++toastId;
  toasts.update((all) => [...all.slice(-2), { id, text, bad }]);
  setTimeout(() => toasts.update((all) => all.filter((one) => one.id !== id)), bad ? 9000 : 5000);
}

/** Does something, and says what went wrong if it did. */
export async function attempt<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    say(wordsOf(error), true);
    if (error instanceof ApiError && error.problem.status === 401) session.set(null);
    return undefined;
  }
}

export async function begin(): Promise<void> {
  try {
    enter(await get<Session>("/session"));
  } catch {
    session.set(null);
  }
}

export async function login(person: string, password: string): Promise<void> {
  enter(await post<Session>("/login", { person, password }));
}

export async function logout(): Promise<void> {
  await attempt(() => post("/logout"));
  stream?.close();
  stream = null;
  clearInterval(polling);
  session.set(null);
}

function enter(now: Session): void {
  useCsrf(now.csrf);
  session.set(now);
  void attempt(async () => units.set(await get<Units>("/units")));
  void attempt(async () => templates.set((await get<{ templates: Template[] }>("/templates")).templates));
  if (may("admin")) void attempt(async () => people.set((await get<{ people: Person[] }>("/people")).people));
  void attempt(async () => agencies.set((await get<{ agencies: Agency[] }>("/agencies")).agencies));
  listen();
  void reload();
  clearInterval(polling);
  polling = setInterval(() => {
    if (!connected.get()) void reload();
  }, POLL_MS);
}

/** Loads what the event stream does not repeat. */
export async function reload(): Promise<void> {
  await Promise.all([
    attempt(async () => drafts.set((await get<{ drafts: Draft[] }>("/drafts?limit=200")).drafts)),
    attempt(async () => rows.set((await get<{ publications: Row[] }>("/publications?limit=100")).publications)),
  ]);
  if (may("operate")) {
    await attempt(async () => providers.set((await get<{ providers: Provider[] }>("/providers")).providers));
  }
}

function listen(): void {
  stream?.close();
  stream = new EventSource("/v1/console/events");
  const on = <T>(name: string, take: (data: T) => void) =>
    stream?.addEventListener(name, (event) => take(JSON.parse((event as MessageEvent<string>).data) as T));
  stream.onopen = () => {
    connected.set(true);
    void reload();
  };
  stream.onerror = () => connected.set(false);
  on<Draft>("drafts", (draft) => drafts.update((all) => placed(all, draft)));
  on<Row>("publication", (row) => rows.update((all) => placed(all, row).slice(0, ROWS_MAX)));
  on<FunnelEvent>("funnel", (funnel) => queueFunnel(funnel));
  on<Provider[]>("providers", mergeProviders);
  on<{ id: string }>("answers", ({ id }) => answered.update((all) => new Map([...all, [id, (all.get(id) ?? 0) + 1]])));
  on<unknown>("links", () => linkTest.update((n) => n + 1));
}

/** The newest first; a changed one keeps its place. */
function placed<T extends { id: string }>(all: T[], one: T): T[] {
  const at = all.findIndex((other) => other.id === one.id);
  return at < 0 ? [one, ...all] : all.map((other, i) => (i === at ? { ...other, ...one } : other));
}

function mergeProviders(news: Provider[]): void {
  const known = providers.get();
  const merged = news.map((one) => ({
    ...known.find((other) => other.channel === one.channel), ...one,
  }));
  const rest = known.filter((one) => !news.some((other) => other.channel === one.channel));
  providers.set([...merged, ...rest]);
}

// Several publications may change at once: they are drawn together, in the browser's own time.
const waiting = new Map<string, FunnelEvent>();
function queueFunnel(funnel: FunnelEvent): void {
  if (waiting.size === 0) {
    requestAnimationFrame(() => {
      funnels.set(new Map([...funnels.get(), ...waiting]));
      waiting.clear();
    });
  }
  waiting.set(funnel.id, funnel);
  if (funnel.providers) mergeProviders(funnel.providers);
}

/** Whether the person of the session has a right. */
export function may(right: "write" | "approve" | "override" | "operate" | "admin"): boolean {
  const now = session.get();
  // Only people of the city's operators operate, whatever else they may.
  if (right === "operate" && !now?.agency.operator) return false;
  return now?.person.rights.includes(right) ?? false;
}

/** A unit's name, or its code where the city is not known yet. */
export function unitName(code: string): string {
  return names().get(code) ?? code;
}

let namesOf: Units | null = null;
let nameByCode = new Map<string, string>();
function names(): Map<string, string> {
  const now = units.get();
  if (now !== namesOf) {
    namesOf = now;
    nameByCode = new Map(now?.units.map((unit) => [unit.code, unit.name]));
  }
  return nameByCode;
}

/** An agency's name where it is known here, or its id. */
export function agencyName(id: string): string {
  const own = session.get()?.agency;
  if (own?.id === id) return own.name;
  return agencies.get().find((one) => one.id === id)?.name ?? id;
}

/** Whether an actor (`person:lan`) is the person of the session. */
export function isMe(actor: string | undefined): boolean {
  const me = session.get()?.person.id;
  return actor !== undefined && actor === `person:${me}`;
}

function personName(id: string): string {
  const known = [session.get()?.person, ...people.get()].find((one) => one?.id === id);
  return known ? `${known.name} (${id})` : id;
}

/** An actor in words: a person by name and login where the name is known here, a key by its name. */
export function actorWords(actor: string | undefined): string {
  if (actor === undefined) return "–";
  const [kind, ...rest] = actor.split(":");
  const name = rest.join(":");
  if (kind === "person") return personName(name);
  // The audit trail calls people by their login alone.
  if (rest.length === 0) return personName(actor);
  return kind === "key" ? t(`khóa API ${name}`, `API key ${name}`) : actor;
}
