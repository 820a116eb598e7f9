import { beforeEach, expect, test } from "vitest";
import { current, known, receive, replace } from "./alerts";
import { places } from "./device";
import type { Publication } from "./types";

const NOW = Date.parse("2026-11-24T10:00:00Z");

function alert(id: string, part: Partial<Publication> = {}): Publication {
  return {
    id, chain: id, kind: "alert", action: "alert", lane: "emergency", severity: "Severe", agency: "a",
    accepted_at: "2026-11-24T09:00:00Z", expires: "2026-11-24T12:00:00Z", exercise: false,
    coarse: false, silent: false, texts: [], area: { boundaries: "approximate", vintage: "2025-07", units: ["26740"] },
    ...part,
  };
}

beforeEach(() => {
  known.set({ at: 0, items: [] });
  places.set([]);
});

test("what comes twice is shown once, and an update takes the place of what it supersedes", () => {
  expect(receive(alert("a"))).toBe(true);
  expect(receive(alert("a"))).toBe(false);
  receive(alert("b", { chain: "a", action: "update", supersedes: ["a"] }));
  expect(known.get().items.map(({ id }) => id)).toEqual(["b"]);
});

test("what is expired or elsewhere is not on the screen, the gravest comes first", () => {
  places.set([{ code: "26740", name: "Phường Sài Gòn" }]);
  const items = [
    alert("old", { expires: "2026-11-24T09:59:59Z" }),
    alert("elsewhere", { area: { boundaries: "approximate", vintage: "2025-07", units: ["26743"] } }),
    alert("minor", { severity: "Minor" }), alert("extreme", { severity: "Extreme" }),
    alert("gone", { action: "cancel", severity: "Extreme" }),
  ];
  expect(current(items, NOW).map(({ id }) => id)).toEqual(["extreme", "minor", "gone"]);
});

test("the public list does not throw away an exercise or a notice", () => {
  receive(alert("exercise", { exercise: true }));
  receive(alert("survey", { kind: "notice" }));
  receive(alert("stale"));
  replace([alert("fresh")], NOW);
  expect(known.get().items.map(({ id }) => id).sort()).toEqual(["exercise", "fresh", "survey"]);
});

test("a list that a cache kept for some seconds takes back nothing that came since", () => {
  const listed = Date.parse("2026-11-24T09:00:00Z");
  const since = { accepted_at: "2026-11-24T09:00:03.5Z" };
  receive(alert("new", since));
  receive(alert("update", { chain: "a", action: "update", supersedes: ["a"], ...since }));
  receive(alert("cancel", { chain: "b", action: "cancel", supersedes: ["b"], ...since }));
  replace([alert("a"), alert("b"), alert("c")], listed);
  expect(known.get().items.map(({ id }) => id).sort()).toEqual(["c", "cancel", "new", "update"]);
  replace([alert("update", { chain: "a", action: "update", ...since })], listed + 60_000);
  expect(known.get().items.map(({ id }) => id).sort()).toEqual(["cancel", "update"]);
});
