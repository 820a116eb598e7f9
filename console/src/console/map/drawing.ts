// Drawing an area: corners of a polygon, or a centre and a radius. Mouse, finger and keyboard do the
// same thing: they set points.
import { useState } from "preact/hooks";
import { crossesItself, distanceKm, round6, type Circle, type Point } from "../../shared/geo";

export type Tool = "select" | "polygon" | "circle";

export interface Drawn { polygons: Point[][]; circles: Circle[] }

/** Corners a polygon may have; more cannot be checked by eye. */
export const CORNERS_MAX = 100;
/** The largest radius that can be drawn; the city is about 150 km long. */
const RADIUS_MAX_KM = 100;

export interface Drawing {
  tool: Tool;
  corners: Point[];
  centre: Point | null;
  cursor: Point | null;
  /** Why what is drawn bounds no area yet. */
  fault: "crosses" | "few" | "many" | null;
  setTool(tool: Tool): void;
  put(point: Point): void;
  hover(point: Point): void;
  finish(): void;
  undo(): void;
  cancel(): void;
}

export function radiusKm(centre: Point, edge: Point): number {
  return Math.min(RADIUS_MAX_KM, Math.max(0.05, Math.round(distanceKm(centre, edge) * 1000) / 1000));
}

/** One drawing at a time; what is finished goes to `done`. */
export function useDrawing(
  done: (polygon: Point[] | null, circle: Circle | null) => void,
  changed?: (shape: { polygon?: Point[]; circle?: Circle } | null) => void,
): Drawing {
  const [tool, setTool] = useState<Tool>("select");
  const [corners, setCorners] = useState<Point[]>([]);
  const [centre, setCentre] = useState<Point | null>(null);
  const [cursor, setCursor] = useState<Point | null>(null);

  const fault =
    tool !== "polygon" ? null
    : corners.length >= CORNERS_MAX ? "many"
    : corners.length >= 4 && crossesItself(corners) ? "crosses"
    : corners.length > 0 && corners.length < 3 ? "few" : null;

  const clear = () => {
    setCorners([]);
    setCentre(null);
    setCursor(null);
    changed?.(null);
  };
  const finish = () => {
    if (corners.length < 3 || crossesItself(corners)) return;
    done(corners, null);
    clear();
    setTool("select");
  };
  const put = (raw: Point) => {
    const point: Point = [round6(raw[0]), round6(raw[1])];
    if (tool === "polygon") {
      if (corners.length >= CORNERS_MAX) return;
      const next = [...corners, point];
      setCorners(next);
      if (next.length >= 3 && !crossesItself(next)) changed?.({ polygon: next });
    } else if (tool === "circle" && centre === null) {
      setCentre(point);
    } else if (tool === "circle" && centre !== null) {
      done(null, { centre, radius_km: radiusKm(centre, point) });
      clear();
      setTool("select");
    }
  };
  const hover = (point: Point) => {
    if (tool === "select") return;
    setCursor(point);
    if (tool === "circle" && centre) changed?.({ circle: { centre, radius_km: radiusKm(centre, point) } });
  };
  const undo = () => {
    if (tool === "circle") setCentre(null);
    else setCorners((now) => now.slice(0, -1));
  };
  return {
    tool, corners, centre, cursor, fault, put, hover, finish, undo,
    setTool(next) {
      clear();
      setTool(next);
    },
    cancel() {
      clear();
      setTool("select");
    },
  };
}
