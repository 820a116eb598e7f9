import { expect, test } from "vitest";
import { closed, crossesItself, distanceKm, inside, Projection, type Point } from "./geo";

const box = { west: 106.3, south: 10.3, east: 107.6, north: 11.5 };

test("a point comes back from the picture to where it was", () => {
  const plane = new Projection(box, 1000);
  const [lat, lon] = plane.point(plane.x(106.7009), plane.y(10.7769));
  expect(lat).toBeCloseTo(10.7769, 6);
  expect(lon).toBeCloseTo(106.7009, 6);
});

test("a kilometre is as long to the east as to the north, and as long as it is", () => {
  const plane = new Projection(box, 1000);
  const here: Point = [10.9, 106.9];
  const east: Point = [10.9, 107.0];
  const drawn = plane.x(107.0) - plane.x(106.9);
  expect(drawn / plane.perKm).toBeCloseTo(distanceKm(here, east), 1);
  const north = plane.y(10.9) - plane.y(11.0);
  expect(north / plane.perKm).toBeCloseTo(distanceKm(here, [11.0, 106.9]), 1);
});

test("distances are those of the globe", () => {
  expect(distanceKm([10.7769, 106.7009], [10.3460, 107.0843])).toBeCloseTo(63.7, 0);
});

test("a bow tie crosses itself, a square does not", () => {
  const square: Point[] = [[0, 0], [0, 1], [1, 1], [1, 0]];
  const tie: Point[] = [[0, 0], [1, 1], [0, 1], [1, 0]];
  expect(crossesItself(square)).toBe(false);
  expect(crossesItself(tie)).toBe(true);
  expect(closed(square)).toHaveLength(5);
});

test("a hole is outside", () => {
  const outer: [number, number][] = [[0, 0], [4, 0], [4, 4], [0, 4], [0, 0]];
  const hole: [number, number][] = [[1, 1], [2, 1], [2, 2], [1, 2], [1, 1]];
  expect(inside([outer, hole], 3, 3)).toBe(true);
  expect(inside([outer, hole], 1.5, 1.5)).toBe(false);
  expect(inside([outer, hole], 5, 1)).toBe(false);
});
