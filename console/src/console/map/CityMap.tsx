// The map: the units themselves, as elements that can be focused, named and chosen.
import { useEffect, useRef, useState } from "preact/hooks";
import { t } from "../../shared/language";
import type { Point } from "../../shared/geo";
import type { Units } from "../types";
import { Inset } from "./Inset";
import { named, shortName } from "./labels";
import { Overlay } from "./Overlay";
import { neighbour, planOf, type Shape } from "./plan";
import { UnitShape, type Look } from "./UnitShape";
import type { Drawing, Drawn } from "./drawing";
import { place, useView, type View } from "./view";

interface Props {
  city: Units;
  look: (code: string) => Look;
  label: string;
  drawn?: Drawn;
  drawing?: Drawing;
  onToggle?: (code: string) => void;
  isChosen?: (code: string) => boolean;
  /** Asked to show these units; a new array moves the view. */
  focusOn?: string[];
}

const NOTHING: Drawn = { polygons: [], circles: [] };

export function CityMap(props: Props) {
  const { city, look, drawn = NOTHING, drawing, onToggle, isChosen } = props;
  const plan = planOf(city);
  const { plane, shapes } = plan.main;
  const svg = useRef<SVGSVGElement>(null);
  const { view, setView, zoom, pan, down, move, up, wheel, dragged, reset, all } = useView(plane.height);
  const [active, setActive] = useState(shapes[0]?.unit.code ?? "");
  const [pixels, setPixels] = useState(600);
  const busy = drawing !== undefined && drawing.tool !== "select";
  const unit = view.w / pixels;
  // The frame may be wider than the view: what fills it is seen too.
  const seen = svg.current === null ? view : frameOf(svg.current, view);

  useEffect(() => {
    const element = svg.current!;
    const observer = new ResizeObserver(() => {
      const box = element.getBoundingClientRect();
      setPixels(Math.max(100, Math.min(box.width, (box.height * view.w) / view.h)));
    });
    observer.observe(element);
    const onWheel = (event: WheelEvent) => wheel(event, element);
    element.addEventListener("wheel", onWheel, { passive: false });
    return () => {
      observer.disconnect();
      element.removeEventListener("wheel", onWheel);
    };
  });

  useEffect(() => {
    const found = shapes.filter((shape) => props.focusOn?.includes(shape.unit.code));
    if (found.length > 0) setView(around(found, plane.height));
  }, [props.focusOn]);

  const at = (event: MouseEvent): Point => {
    const [x, y] = place(svg.current!, event.clientX, event.clientY);
    return plane.point(x, y);
  };
  const toggle = (target: EventTarget | null) => {
    const code = (target as Element | null)?.closest("[data-code]")?.getAttribute("data-code");
    if (code && onToggle) {
      setActive(code);
      onToggle(code);
    }
  };
  const click = (event: MouseEvent) => {
    if (dragged.current) return;
    if (!busy) return toggle(event.target);
    const [x, y] = place(svg.current!, event.clientX, event.clientY);
    const first = drawing.corners[0];
    const near = first && Math.hypot(plane.x(first[1]) - x, plane.y(first[0]) - y) < 10 * unit;
    if (near && drawing.corners.length >= 3) drawing.finish();
    else drawing.put(at(event));
  };
  const keys = (event: KeyboardEvent) => {
    if (event.key === "+" || event.key === "=") zoom(1.4);
    else if (event.key === "-") zoom(1 / 1.4);
    else if (busy) drawByKey(event, drawing, { view, unit, plane });
    else if (event.key.startsWith("Arrow")) {
      if (event.shiftKey) return pan(...(WAYS[event.key] ?? [0, 0]));
      const next = neighbour(shapes, active, event.key);
      if (next !== null) {
        setActive(next);
        svg.current?.querySelector<SVGElement>(`[data-code="${next}"]`)?.focus();
      }
    } else if (event.key === " " || event.key === "Enter") toggle(event.target);
    else return;
    event.preventDefault();
  };

  const shape = (one: Shape, alone = false) => {
    const { kind, words } = look(one.unit.code);
    return (
      <UnitShape
        key={one.unit.code} shape={one} kind={kind} words={words} checkable={onToggle !== undefined}
        checked={isChosen?.(one.unit.code) ?? false} inert={busy} tabbable={alone || one.unit.code === active}
      />
    );
  };
  return (
    <div class={busy ? "map is-drawing" : "map"}>
      <svg
        ref={svg} viewBox={`${view.x} ${view.y} ${view.w} ${view.h}`} role="group" aria-label={props.label}
        tabindex={busy ? 0 : undefined} onClick={click} onKeyDown={keys} onPointerDown={down}
        onPointerMove={(event) => {
          move(event, svg.current!);
          if (busy) drawing.hover(at(event));
        }}
        onPointerUp={up} onPointerCancel={up} onPointerLeave={up}
        onDblClick={() => busy && drawing.finish()}
      >
        <defs>
          <pattern id="hatch" width={8 * unit} height={8 * unit} patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
            <rect class="hatch-ground" width={8 * unit} height={8 * unit} />
            <rect class="hatch-line" width={3.5 * unit} height={8 * unit} />
          </pattern>
        </defs>
        {shapes.map((one) => shape(one))}
        <g class="labels" aria-hidden="true">
          {named(shapes, seen, unit, (code) => look(code).kind !== "none" && look(code).kind !== "out").map((one) => (
            <text key={one.unit.code} class={look(one.unit.code).kind} x={one.x} y={one.y} font-size={11 * unit}>
              {shortName(one.unit.name)}
            </text>
          ))}
        </g>
        <Overlay plane={plane} drawn={drawn} {...(drawing ? { drawing } : {})} unit={unit} />
      </svg>
      {plan.inset && <Inset sheet={plan.inset} shape={(one) => shape(one, true)} onClick={toggle} drawn={drawn} />}
      <div class="map-tools">
        <button type="button" onClick={() => zoom(1.6)} aria-label={t("Phóng to", "Zoom in")}>+</button>
        <button type="button" onClick={() => zoom(1 / 1.6)} aria-label={t("Thu nhỏ", "Zoom out")}>−</button>
        <button type="button" onClick={reset} aria-label={t("Cả thành phố", "Whole city")} disabled={view.w === all.w}>⤢</button>
      </div>
    </div>
  );
}

const WAYS: Record<string, [number, number]> = {
  ArrowLeft: [-0.2, 0], ArrowRight: [0.2, 0], ArrowUp: [0, -0.2], ArrowDown: [0, 0.2],
};

function around(found: Shape[], height: number) {
  const xs = found.map((shape) => shape.x);
  const ys = found.map((shape) => shape.y);
  const w = Math.max(180, (Math.max(...xs) - Math.min(...xs)) * 1.6, (Math.max(...ys) - Math.min(...ys)) * 1.6);
  const width = Math.min(1000, w);
  const h = (width * height) / 1000;
  const middle = (values: number[]) => (Math.min(...values) + Math.max(...values)) / 2;
  return { x: middle(xs) - width / 2, y: middle(ys) - h / 2, w: width, h };
}

/** The part of the picture that the element shows, with what stands beside or above the view. */
function frameOf(element: SVGSVGElement, view: View): View {
  const { clientWidth: w, clientHeight: h } = element;
  const scale = Math.max(view.w / Math.max(1, w), view.h / Math.max(1, h));
  return { x: view.x + (view.w - w * scale) / 2, y: view.y + (view.h - h * scale) / 2, w: w * scale, h: h * scale };
}

interface Frame {
  view: { x: number; y: number; w: number; h: number };
  unit: number;
  plane: { x(lon: number): number; y(lat: number): number; point(x: number, y: number): Point };
}

/** Drawing without a mouse: arrows move the cross, Enter sets a point, F finishes. */
function drawByKey(event: KeyboardEvent, drawing: Drawing, { view, unit, plane }: Frame): void {
  const now = drawing.cursor ?? plane.point(view.x + view.w / 2, view.y + view.h / 2);
  const way = WAYS[event.key];
  const step = (event.shiftKey ? 200 : 40) * unit;
  if (way) drawing.hover(plane.point(plane.x(now[1]) + way[0] * step, plane.y(now[0]) + way[1] * step));
  else if (event.key === "Enter" || event.key === " ") drawing.put(now);
  else if (event.key.toLowerCase() === "f") drawing.finish();
  else if (event.key === "Backspace") drawing.undo();
  else if (event.key === "Escape") drawing.cancel();
}
