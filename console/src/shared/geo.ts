// Geometry on the screen: the city is small enough for one plane. Points are [lat, lon] everywhere
// but in GeoJSON, which puts the longitude first.

export type Point = [lat: number, lon: number];
export interface Circle {
  centre: Point;
  radius_km: number;
}
export type Rings = [number, number][][];
export interface Geometry {
  type: "Polygon" | "MultiPolygon";
  coordinates: unknown;
}

const EARTH_KM = 6371.0088;
const KM_PER_DEGREE = (Math.PI / 180) * EARTH_KM;
const radians = (degrees: number) => (degrees * Math.PI) / 180;

/** Every ring of a geometry, outer and inner alike, longitude first. */
export function ringsOf(geometry: Geometry): Rings {
  return geometry.type === "Polygon"
    ? (geometry.coordinates as Rings)
    : (geometry.coordinates as Rings[]).flat();
}

export interface Box {
  west: number;
  south: number;
  east: number;
  north: number;
}

export function boxOf(rings: Rings): Box {
  const box = { west: Infinity, south: Infinity, east: -Infinity, north: -Infinity };
  for (const ring of rings) {
    for (const [lon, lat] of ring) {
      box.west = Math.min(box.west, lon);
      box.east = Math.max(box.east, lon);
      box.south = Math.min(box.south, lat);
      box.north = Math.max(box.north, lat);
    }
  }
  return box;
}

export function union(boxes: Box[]): Box {
  return boxes.reduce((all, box) => ({
    west: Math.min(all.west, box.west),
    south: Math.min(all.south, box.south),
    east: Math.max(all.east, box.east),
    north: Math.max(all.north, box.north),
  }));
}

/** A flat picture of a box: `width` units wide, north up, distances true at its middle. */
export class Projection {
  readonly height: number;
  private readonly scale: number;
  private readonly stretch: number;

  constructor(
    readonly box: Box,
    readonly width: number,
  ) {
    this.stretch = Math.cos(radians((box.south + box.north) / 2));
    this.scale = width / ((box.east - box.west) * this.stretch);
    this.height = (box.north - box.south) * this.scale;
  }

  x(lon: number): number {
    return (lon - this.box.west) * this.stretch * this.scale;
  }

  y(lat: number): number {
    return (this.box.north - lat) * this.scale;
  }

  point(x: number, y: number): Point {
    const lat = this.box.north - y / this.scale;
    const lon = this.box.west + x / (this.stretch * this.scale);
    return [round6(lat), round6(lon)];
  }

  /** Units of the picture a kilometre has. */
  get perKm(): number {
    return this.scale / KM_PER_DEGREE;
  }

  /** An SVG path of rings. */
  path(rings: Rings): string {
    return rings
      .map((ring) => {
        const points = ring.map(([lon, lat]) => `${this.x(lon).toFixed(1)} ${this.y(lat).toFixed(1)}`);
        return `M${points.join("L")}Z`;
      })
      .join("");
  }
}

/** CAP takes at most six decimals: eleven centimetres. */
export function round6(value: number): number {
  return Math.round(value * 1e6) / 1e6;
}

/** Kilometres between two points. */
export function distanceKm([lat1, lon1]: Point, [lat2, lon2]: Point): number {
  const dLat = radians(lat2 - lat1);
  const dLon = radians(lon2 - lon1);
  const a =
    Math.sin(dLat / 2) ** 2 +
    Math.cos(radians(lat1)) * Math.cos(radians(lat2)) * Math.sin(dLon / 2) ** 2;
  return 2 * EARTH_KM * Math.asin(Math.sqrt(a));
}

/** Whether a point lies inside rings (even-odd), longitude first as in GeoJSON. */
export function inside(rings: Rings, lon: number, lat: number): boolean {
  let odd = false;
  for (const ring of rings) {
    for (let i = 0, j = ring.length - 1; i < ring.length; j = i++) {
      const [x1, y1] = ring[i]!;
      const [x2, y2] = ring[j]!;
      if (y1 > lat !== y2 > lat && lon < ((x2 - x1) * (lat - y1)) / (y2 - y1) + x1) odd = !odd;
    }
  }
  return odd;
}

function crosses(a: Point, b: Point, c: Point, d: Point): boolean {
  const side = (p: Point, q: Point, r: Point) =>
    Math.sign((q[1] - p[1]) * (r[0] - p[0]) - (q[0] - p[0]) * (r[1] - p[1]));
  return side(a, b, c) * side(a, b, d) < 0 && side(c, d, a) * side(c, d, b) < 0;
}

/** Whether the closed line through the points crosses itself: then it bounds no area. */
export function crossesItself(points: Point[]): boolean {
  const n = points.length;
  for (let i = 0; i < n; i++) {
    for (let j = i + 2; j < n; j++) {
      if (i === 0 && j === n - 1) continue;
      if (crosses(points[i]!, points[(i + 1) % n]!, points[j]!, points[(j + 1) % n]!)) return true;
    }
  }
  return false;
}

/** The ring CAP wants: at least three corners, the first again at the end. */
export function closed(points: Point[]): Point[] {
  const first = points[0];
  return first === undefined ? [] : [...points, first];
}
