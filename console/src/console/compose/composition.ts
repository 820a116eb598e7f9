// What is being written, and the draft it makes.
import { capTime } from "../../shared/format";
import { closed } from "../../shared/geo";
import { LEVELS, levelOf, type Certainty, type Severity, type Urgency } from "../../shared/levels";
import type { Drawn } from "../map/drawing";
import type { AlertBody, Area, Draft, DraftKind, Info, Lang, NewDraft, Resource, Template, Words } from "../types";

export const LEVEL_PARAMETER = "loa:disaster-level";
const LANGUAGES: readonly { lang: Lang; tag: string }[] = [
  { lang: "vi", tag: "vi-VN" },
  { lang: "en", tag: "en-GB" },
];

export interface Composition {
  kind: Exclude<DraftKind, "notice">;
  of?: string;
  draft?: { id: string; version: number };
  template: string | null;
  level: number | null;
  severity: Severity;
  urgency: Urgency;
  certainty: Certainty;
  category: string;
  responses: string[];
  texts: Record<Lang, Words>;
  expires: Date;
  units: string[];
  drawn: Drawn;
  web: string;
  contact: string;
  resources: Resource[];
  note: string;
  exercise: boolean;
}

const EMPTY_WORDS: Words = { event: "", headline: "", description: "", instruction: "" };
/** How long an alert lasts where no template says it. */
const EXPIRES_MINUTES = 180;

export function inMinutes(minutes: number): Date {
  // Whole minutes: that is what the field shows.
  return new Date(Math.ceil((Date.now() + minutes * 60_000) / 60_000) * 60_000);
}

export function empty(exercise = false): Composition {
  return {
    kind: "alert", template: null, level: 3, severity: "Severe", urgency: "Expected",
    certainty: "Likely", category: "Met", responses: ["Prepare"],
    texts: { vi: { ...EMPTY_WORDS }, en: { ...EMPTY_WORDS } }, expires: inMinutes(EXPIRES_MINUTES),
    units: [], drawn: { polygons: [], circles: [] }, web: "", contact: "", resources: [], note: "",
    exercise,
  };
}

/** A template fills everything but the area, which has its own time. */
export function withTemplate(now: Composition, template: Template): Composition {
  return {
    ...now, template: template.id, level: agreeing(template), severity: template.severity,
    urgency: template.urgency, certainty: template.certainty, category: template.category,
    responses: template.response_types,
    texts: { vi: { ...EMPTY_WORDS, ...template.texts.vi }, en: { ...EMPTY_WORDS, ...template.texts.en } },
    expires: inMinutes(template.expires_minutes),
  };
}

/** A template's level, where it agrees with its severity. */
function agreeing({ level, severity }: Template): number | null {
  const stated = levelOf(level);
  if (stated?.severity === severity) return stated.number;
  return LEVELS.find((one) => one.severity === severity)?.number ?? null;
}

export function withLevel(now: Composition, level: number): Composition {
  return { ...now, level, severity: levelOf(level)!.severity };
}

/** CAP's own scale; a level that no longer agrees with it goes. */
export function withSeverity(now: Composition, severity: Severity): Composition {
  const level = LEVELS.find((one) => one.severity === severity);
  const agrees = now.level !== null && levelOf(now.level)?.severity === severity;
  return { ...now, severity, level: agrees ? now.level : (level?.number ?? null) };
}

export function hasArea(now: Composition): boolean {
  return now.units.length + now.drawn.polygons.length + now.drawn.circles.length > 0;
}

function areaOf(now: Composition, description: string): Area {
  const area: Area = { description };
  if (now.units.length > 0) area.geocodes = now.units.map((value) => ({ name: "loa:unit", value }));
  if (now.drawn.polygons.length > 0) area.polygons = now.drawn.polygons.map(closed);
  if (now.drawn.circles.length > 0) area.circles = now.drawn.circles;
  return area;
}

/** Longer names of an area are cut on small screens. */
const AREA_NAME_MAX = 49;

/** The words for the area: names while they are few and short, then how many more. */
export function areaWords(now: Composition, lang: Lang, nameOf: (code: string) => string): string {
  const drawn = now.drawn.polygons.length + now.drawn.circles.length;
  const said = (count: number) => {
    const names = now.units.slice(0, count).map(nameOf).join(", ");
    const more = now.units.length - count;
    const parts: string[] = [];
    if (names !== "") parts.push(more > 0 ? `${names} ${lang === "vi" ? "và" : "and"} +${more}` : names);
    if (drawn > 0) parts.push(lang === "vi" ? "vùng vẽ trên bản đồ" : "area drawn on the map");
    return parts.join("; ");
  };
  return [3, 2, 1].map(said).find((words) => words.length <= AREA_NAME_MAX) ?? said(1);
}

export function bodyOf(now: Composition, sender: string, nameOf: (code: string) => string): AlertBody {
  if (now.kind === "cancel") return { ...(now.note ? { note: now.note } : {}) };
  const infos = LANGUAGES.filter(({ lang }) => lang === "vi" || now.texts.en.headline.trim() !== "")
    .map(({ lang, tag }): Info => infoOf(now, lang, tag, sender, nameOf));
  return { ...(now.note ? { note: now.note } : {}), infos };
}

function infoOf(
  now: Composition, lang: Lang, tag: string, sender: string, nameOf: (code: string) => string,
): Info {
  const words = now.texts[lang];
  const info: Info = {
    language: tag, categories: [now.category], event: words.event || words.headline,
    response_types: now.responses, urgency: now.urgency, severity: now.severity,
    certainty: now.certainty, expires: capTime(now.expires), sender_name: sender,
    headline: words.headline, description: words.description, instruction: words.instruction,
    areas: hasArea(now) ? [areaOf(now, areaWords(now, lang, nameOf))] : [],
  };
  if (now.level !== null) info.parameters = [{ name: LEVEL_PARAMETER, value: String(now.level) }];
  if (now.web) info.web = now.web;
  if (now.contact) info.contact = now.contact;
  if (now.resources.length > 0) info.resources = now.resources;
  return info;
}

export function draftOf(now: Composition, sender: string, nameOf: (code: string) => string): NewDraft {
  return {
    kind: now.kind, body: bodyOf(now, sender, nameOf), exercise: now.exercise,
    ...(now.of ? { of: now.of } : {}),
  };
}

/** The composition a draft or a published alert came from, to be gone on with. */
export function from(draft: Pick<Draft, "kind" | "of" | "body" | "exercise">): Composition {
  const now = empty(draft.exercise ?? false);
  const body = draft.body as AlertBody;
  now.kind = draft.kind === "notice" ? "alert" : draft.kind;
  if (draft.of) now.of = draft.of;
  now.note = body.note ?? "";
  const first = body.infos?.[0];
  if (first === undefined) return now;
  for (const info of body.infos ?? []) {
    const lang: Lang = info.language.startsWith("en") ? "en" : "vi";
    now.texts[lang] = {
      event: info.event, headline: info.headline ?? "", description: info.description ?? "",
      instruction: info.instruction ?? "",
    };
  }
  const level = Number(first.parameters?.find(({ name }) => name === LEVEL_PARAMETER)?.value);
  Object.assign(now, {
    level: level || null, severity: first.severity, urgency: first.urgency,
    certainty: first.certainty, category: first.categories[0] ?? "Met",
    responses: first.response_types ?? [], web: first.web ?? "", contact: first.contact ?? "",
    resources: first.resources ?? [],
  });
  if (first.expires && new Date(first.expires) > new Date()) now.expires = new Date(first.expires);
  for (const area of first.areas ?? []) {
    now.units.push(...(area.geocodes ?? []).filter(({ name }) => name === "loa:unit").map(({ value }) => value));
    now.drawn.polygons.push(...(area.polygons ?? []).map((ring) => ring.slice(0, -1)));
    now.drawn.circles.push(...(area.circles ?? []));
  }
  return now;
}
