// The city for the development server: the repository's own units and approximate boundaries.
import { readFileSync } from "node:fs";

const read = (name) => readFileSync(new URL(`../../geofences/hcmc/${name}`, import.meta.url), "utf8");
const rows = (text) => text.trim().split("\n").slice(1).map((line) => line.split(","));

export const geojson = JSON.parse(read("approximate.geojson"));
export const units = rows(read("units.csv")).map(([code, name, kind, area, lat, lon], index) => ({
  code, name, kind, area_km2: Number(area), centroid: [Number(lat), Number(lon)],
  devices: { websocket: 20 + (index % 7), apns: 40 + ((index * 13) % 50), fcm: 60 + ((index * 29) % 90), webpush: index % 9 },
}));
const old = rows(read("crosswalk.csv"));

const plain = (text) =>
  text.normalize("NFD").replace(/[\u0300-\u036f]/g, "").replace(/[đĐ]/g, "d").toLowerCase();

export function search(text) {
  const wanted = plain(text);
  const successors = new Set(old.filter((row) => plain(row[2]).includes(wanted)).map((row) => row[5]));
  return units.filter((unit) => plain(unit.name).includes(wanted) || successors.has(unit.code));
}

/** Units whose centre or corners lie inside a polygon, or near a circle: good enough for a look. */
export function match(areas) {
  const shares = new Map();
  for (const area of areas) {
    for (const code of area.geocodes ?? []) shares.set(code.value, 1);
    for (const polygon of area.polygons ?? []) {
      for (const unit of units) add(unit, (point) => within(polygon, point));
    }
    for (const { centre, radius_km } of area.circles ?? []) {
      for (const unit of units) {
        add(unit, ([lat, lon]) => Math.hypot((lat - centre[0]) * 111, (lon - centre[1]) * 109) <= radius_km);
      }
    }
  }
  return units.filter((unit) => shares.has(unit.code)).map((unit) => ({ unit, share: shares.get(unit.code) }));

  function add(unit, test) {
    const ring = geojson.features.find((f) => f.properties.code === unit.code).geometry.coordinates.flat(9);
    const points = [unit.centroid];
    for (let i = 0; i + 1 < ring.length; i += 2) points.push([ring[i + 1], ring[i]]);
    const share = points.filter(test).length / points.length;
    if (share > 0) shares.set(unit.code, Math.max(share, shares.get(unit.code) ?? 0));
  }
}

function within(polygon, [lat, lon]) {
  let odd = false;
  for (let i = 0, j = polygon.length - 1; i < polygon.length; j = i++) {
    const [y1, x1] = polygon[i];
    const [y2, x2] = polygon[j];
    if (y1 > lat !== y2 > lat && lon < ((x2 - x1) * (lat - y1)) / (y2 - y1) + x1) odd = !odd;
  }
  return odd;
}
