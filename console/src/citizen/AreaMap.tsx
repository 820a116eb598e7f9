// Where an alert holds, on a map: its units, what its agency drew, and one's own places. Comes only
// when it is asked for; the words beside it say the same.
import { useEffect, useState } from "preact/hooks";
import { boxOf, Projection, ringsOf, union, type Box, type Circle, type Geometry, type Point } from "../shared/geo";
import { t } from "../shared/language";
import { useStore } from "../shared/store";
import { ask, places } from "./device";
import type { Unit } from "./types";

export interface Shapes { polygons: Point[][]; circles: Circle[] }
interface Feature { properties: { code: string }; geometry: Geometry }

const WIDTH = 400;
const HEIGHT_MAX = 460;
/** Free space around the alert's own area, as a part of it: enough of the city to know it by. */
const AROUND = 0.6;
const LETTER = 8;

export default function AreaMap({ units, shapes }: { units: string[]; shapes: Shapes }) {
  const mine = useStore(places);
  const [city, setCity] = useState<{ features: Feature[]; names: Map<string, string> } | null>(null);
  const [failed, setFailed] = useState(false);
  useEffect(() => {
    Promise.all([ask<{ features: Feature[] }>("GET", "/v1/units/shapes", undefined, {}), ask<{ units: Unit[] }>("GET", "/v1/units", undefined, {})])
      .then(([{ features }, all]) => setCity({ features, names: new Map(all.units.map(({ code, name }) => [code, name])) }))
      .catch(() => setFailed(true));
  }, []);
  if (failed) return <p class="offline">{t("Không tải được bản đồ. Khu vực bằng chữ ở trên vẫn đúng.", "The map cannot be loaded. The area in words above holds.")}</p>;
  if (city === null) return <p>{t("Đang tải bản đồ…", "Loading the map…")}</p>;
  const inside = new Set(units);
  const own = new Set(mine.map(({ code }) => code));
  const known = city.features.map(({ properties: { code }, geometry }) => {
    const rings = ringsOf(geometry);
    return { code, rings, box: boxOf(rings), name: (city.names.get(code) ?? code).replace(/^(Phường|Xã|Đặc khu) /, "") };
  });
  const near = known.filter(({ code }) => inside.has(code));
  const frame = widened(union((near.length > 0 ? near : known).map(({ box }) => box)));
  const plane = new Projection(frame, WIDTH);
  const shown = known.filter(({ box }) => box.east > frame.west && box.west < frame.east && box.north > frame.south && box.south < frame.north);
  const drawn = shapes.polygons.length + shapes.circles.length > 0;
  const kind = (code: string) => (inside.has(code) ? (drawn ? "part" : "whole") : "");
  const points = (ring: Point[]) => ring.map(([lat, lon]) => `${plane.x(lon).toFixed(1)},${plane.y(lat).toFixed(1)}`).join(" ");
  return (
    <figure>
      <svg viewBox={`0 0 ${WIDTH} ${plane.height.toFixed(0)}`} role="img" aria-label={t("Bản đồ khu vực cảnh báo", "Map of the alert's area")}>
        {shown.map(({ code, rings }) => <path key={code} d={plane.path(rings)} class={`unit ${kind(code)}`} />)}
        {shapes.polygons.map((ring, i) => <polygon key={i} class="drawn" points={points(ring)} />)}
        {shapes.circles.map(({ centre, radius_km }, i) => <circle key={i} class="drawn" cx={plane.x(centre[1])} cy={plane.y(centre[0])} r={radius_km * plane.perKm} />)}
        {shown.filter(({ code }) => own.has(code)).map(({ code, rings }) => <path key={code} d={plane.path(rings)} class="own" />)}
        {named(shown, plane, (code) => own.has(code) || inside.has(code)).map(({ code, name, x, y }) => (
          <text key={code} x={x} y={y} class={own.has(code) ? "is-own" : ""}>{name}</text>
        ))}
      </svg>
      <figcaption>
        <span><i class={drawn ? "key drawn" : "key whole"} /> {t("vùng cảnh báo", "alert's area")}</span>
        {drawn && <span><i class="key part" /> {t("phường, xã có một phần trong vùng", "units partly inside")}</span>}
        {own.size > 0 && <span><i class="key own" /> {t("nơi của bạn", "your places")}</span>}
      </figcaption>
    </figure>
  );
}

/** Room around, and never a strip that is higher than a phone. */
function widened(box: Box): Box {
  const wide = Math.max(box.east - box.west, ((box.north - box.south) * WIDTH) / HEIGHT_MAX, 0.04) * (1 + AROUND);
  const high = Math.max(box.north - box.south, wide * 0.6) * (1 + AROUND / 3);
  const [lon, lat] = [(box.east + box.west) / 2, (box.north + box.south) / 2];
  return { west: lon - wide / 2, east: lon + wide / 2, south: lat - high / 2, north: lat + high / 2 };
}

interface Place { code: string; name: string; box: Box }

/** Names that do not lie on each other, those that matter first. */
function named(all: Place[], plane: Projection, matters: (code: string) => boolean) {
  const taken: { x: number; y: number; w: number }[] = [];
  const ordered = [...all].sort((a, b) => Number(matters(b.code)) - Number(matters(a.code)));
  return ordered.flatMap(({ code, name, box }) => {
    const x = plane.x((box.east + box.west) / 2);
    const y = plane.y((box.north + box.south) / 2);
    const w = name.length * LETTER;
    if (x - w / 2 < 0 || x + w / 2 > WIDTH || y < 12 || y > plane.height - 6) return [];
    if (taken.some((one) => Math.abs(one.x - x) < (one.w + w) / 2 && Math.abs(one.y - y) < 16)) return [];
    taken.push({ x, y, w });
    return [{ code, name, x, y }];
  });
}
