// What part of the picture is seen: panned by dragging, zoomed by wheel, pinch, buttons and keys.
import { useRef, useState } from "preact/hooks";
import { WIDTH } from "./plan";

export interface View { x: number; y: number; w: number; h: number }

const ZOOM_MAX = 24;
/** Pixels a pointer may tremble before a press is a drag. */
const SLOP = 5;

export function whole(height: number): View {
  return { x: 0, y: 0, w: WIDTH, h: height };
}

export function zoomed(view: View, factor: number, at: [number, number], all: View): View {
  const w = Math.min(all.w, Math.max(all.w / ZOOM_MAX, view.w / factor));
  const k = w / view.w;
  const h = view.h * k;
  return held({ x: at[0] - (at[0] - view.x) * k, y: at[1] - (at[1] - view.y) * k, w, h }, all);
}

function held(view: View, all: View): View {
  const x = Math.min(Math.max(view.x, -view.w * 0.25), all.w - view.w * 0.75);
  const y = Math.min(Math.max(view.y, -view.h * 0.25), all.h - view.h * 0.75);
  return { ...view, x, y };
}

/** A point of the page in the picture's own units. */
export function place(svg: SVGSVGElement, clientX: number, clientY: number): [number, number] {
  const matrix = svg.getScreenCTM();
  if (matrix === null) return [0, 0];
  const point = new DOMPoint(clientX, clientY).matrixTransform(matrix.inverse());
  return [point.x, point.y];
}

/** Pan and zoom of one map. `dragged` says whether the press that just ended was a drag. */
export function useView(height: number) {
  const all = whole(height);
  const [view, setView] = useState<View>(all);
  const pointers = useRef(new Map<number, [number, number]>());
  const dragged = useRef(false);
  const travelled = useRef(0);

  const zoom = (factor: number, at?: [number, number]) =>
    setView((now) => zoomed(now, factor, at ?? [now.x + now.w / 2, now.y + now.h / 2], all));

  const down = (event: PointerEvent) => {
    pointers.current.set(event.pointerId, [event.clientX, event.clientY]);
    dragged.current = false;
    travelled.current = 0;
  };

  const move = (event: PointerEvent, svg: SVGSVGElement) => {
    const before = pointers.current.get(event.pointerId);
    if (before === undefined) return;
    const others = [...pointers.current].filter(([id]) => id !== event.pointerId);
    const dx = event.clientX - before[0];
    const dy = event.clientY - before[1];
    travelled.current += Math.abs(dx) + Math.abs(dy);
    if (travelled.current < SLOP) return;
    dragged.current = true;
    pointers.current.set(event.pointerId, [event.clientX, event.clientY]);
    const scale = view.w / Math.max(1, svg.clientWidth);
    const other = others[0]?.[1];
    if (other === undefined) {
      setView((now) => held({ ...now, x: now.x - dx * scale, y: now.y - dy * scale }, all));
      return;
    }
    const apart = (a: [number, number]) => Math.hypot(a[0] - other[0], a[1] - other[1]);
    const factor = apart([event.clientX, event.clientY]) / Math.max(1, apart(before));
    zoom(factor, place(svg, (event.clientX + other[0]) / 2, (event.clientY + other[1]) / 2));
  };

  const up = (event: PointerEvent) => void pointers.current.delete(event.pointerId);
  const wheel = (event: WheelEvent, svg: SVGSVGElement) => {
    event.preventDefault();
    zoom(Math.exp(-event.deltaY * 0.0015), place(svg, event.clientX, event.clientY));
  };
  const pan = (dx: number, dy: number) =>
    setView((now) => held({ ...now, x: now.x + dx * now.w, y: now.y + dy * now.h }, all));
  return { view, setView, zoom, pan, down, move, up, wheel, dragged, reset: () => setView(all), all };
}
