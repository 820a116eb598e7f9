// The city prepared for drawing, once: a path, a place for the name and a box for each unit. What
// lies far out at sea (Côn Đảo) gets a picture of its own, so that the city does not shrink to a dot.
import { boxOf, distanceKm, Projection, ringsOf, union, type Box, type Point } from "../../shared/geo";
import type { Unit, Units } from "../types";

/** Width of the picture in its own units. */
export const WIDTH = 1000;
const INSET_WIDTH = 150;
/** A unit farther than this from the city's middle is drawn apart. */
const FAR_KM = 120;
/** Free space around what is drawn, as a part of it. */
const MARGIN = 0.02;

export interface Shape {
  unit: Unit;
  path: string;
  x: number;
  y: number;
  width: number;
}

export interface Sheet {
  plane: Projection;
  shapes: Shape[];
}

export interface Plan {
  main: Sheet;
  inset: Sheet | null;
}

function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

function widened(box: Box, margin: number): Box {
  const dx = (box.east - box.west) * margin;
  const dy = (box.north - box.south) * margin;
  return { west: box.west - dx, east: box.east + dx, south: box.south - dy, north: box.north + dy };
}

let last: { of: Units; plan: Plan } | null = null;

export function planOf(city: Units): Plan {
  if (last?.of === city) return last.plan;
  const byCode = new Map(city.units.map((unit) => [unit.code, unit]));
  const middle: Point = [
    median(city.units.map((unit) => unit.centroid[0])),
    median(city.units.map((unit) => unit.centroid[1])),
  ];
  const known = city.geojson.features.flatMap((feature) => {
    const unit = byCode.get(feature.properties.code);
    const rings = ringsOf(feature.geometry);
    return unit === undefined ? [] : [{ unit, rings, box: boxOf(rings) }];
  });
  const far = known.filter(({ unit }) => distanceKm(unit.centroid, middle) > FAR_KM);
  const near = known.filter((one) => !far.includes(one));
  const sheet = (part: typeof known, width: number, margin: number): Sheet => {
    const plane = new Projection(widened(union(part.map(({ box }) => box)), margin), width);
    const shapes = part.map(({ unit, rings, box }) => ({
      unit, path: plane.path(rings), x: plane.x(unit.centroid[1]), y: plane.y(unit.centroid[0]),
      width: plane.x(box.east) - plane.x(box.west),
    }));
    return { plane, shapes };
  };
  const plan = {
    main: sheet(near.length > 0 ? near : known, WIDTH, MARGIN),
    inset: far.length > 0 && near.length > 0 ? sheet(far, INSET_WIDTH, 0.2) : null,
  };
  last = { of: city, plan };
  return plan;
}

const DIRECTIONS: Record<string, [number, number]> = {
  ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1],
};

/** The unit an arrow key leads to: the nearest one that lies mostly that way. */
export function neighbour(shapes: Shape[], from: string, key: string): string | null {
  const way = DIRECTIONS[key];
  const here = shapes.find((shape) => shape.unit.code === from);
  if (way === undefined || here === undefined) return null;
  let best: { code: string; cost: number } | null = null;
  for (const shape of shapes) {
    const dx = shape.x - here.x;
    const dy = shape.y - here.y;
    const along = dx * way[0] + dy * way[1];
    const aside = Math.abs(dx * way[1]) + Math.abs(dy * way[0]);
    if (along <= 0 || aside > along * 1.5) continue;
    const cost = along + 2 * aside;
    if (best === null || cost < best.cost) best = { code: shape.unit.code, cost };
  }
  return best?.code ?? null;
}
