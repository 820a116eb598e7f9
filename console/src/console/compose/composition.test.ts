import { expect, test } from "vitest";
import { bodyOf, draftOf, empty, from, inMinutes, withLevel, withSeverity } from "./composition";

const name = (code: string) => `Phường ${code}`;

function sample() {
  const now = withLevel(empty(), 4);
  now.texts.vi = { event: "Ngập", headline: "Ngập sâu", description: "Nước lên", instruction: "Lên cao" };
  now.texts.en = { event: "Flood", headline: "Deep flooding", description: "Water rises", instruction: "Go up" };
  now.units = ["26740", "26743", "26746", "26749"];
  now.drawn = { polygons: [[[10.8, 106.7], [10.8, 106.8], [10.9, 106.8]]], circles: [{ centre: [10.9, 106.7], radius_km: 1.6 }] };
  now.expires = inMinutes(120);
  return now;
}

test("a draft has both languages, closed polygons and the level with its severity", () => {
  const { infos } = bodyOf(sample(), "Ban Chỉ huy", name);
  expect(infos?.map((info) => info.language)).toEqual(["vi-VN", "en-GB"]);
  const info = infos![0]!;
  expect(info.severity).toBe("Extreme");
  expect(info.parameters).toEqual([{ name: "loa:disaster-level", value: "4" }]);
  const area = info.areas![0]!;
  expect(area.polygons![0]).toHaveLength(4);
  expect(area.polygons![0]![0]).toEqual(area.polygons![0]![3]);
  expect(area.description).toMatch(/\+\d/);
  expect(area.description.length).toBeLessThan(50);
});

test("without English words there is no English info", () => {
  const now = sample();
  now.texts.en.headline = " ";
  expect(bodyOf(now, "x", name).infos).toHaveLength(1);
});

test("what was written comes back from its draft", () => {
  const now = sample();
  const back = from({ ...draftOf(now, "x", name), exercise: true });
  expect({ ...back, template: null, exercise: false }).toEqual({ ...now, template: null, exercise: false });
});

test("level and severity never disagree", () => {
  expect(withSeverity(withLevel(empty(), 5), "Extreme").level).toBe(5);
  expect(withSeverity(withLevel(empty(), 5), "Minor").level).toBe(1);
  expect(withSeverity(empty(), "Unknown").level).toBe(null);
});
