// Which names stand on the map: those that matter first, none on another, none cut by the frame.
import type { Shape } from "./plan";
import type { View } from "./view";

/** Pixels a letter of a name is wide, and a line high. */
const LETTER_PX = 6.6;
const LINE_PX = 15;
/** From this width on a unit that matters has its name, even if the name reaches over the border. */
const NAMED_PX = 14;

export function shortName(name: string): string {
  return name.replace(/^(Phường|Xã|Đặc khu) /, "");
}

/** The shapes with a name; `unit` is a pixel in the picture's own units. */
export function named(shapes: Shape[], view: View, unit: number, matters: (code: string) => boolean): Shape[] {
  const taken: { x: number; y: number; w: number }[] = [];
  const weighed = shapes.map((shape) => ({ shape, first: matters(shape.unit.code) }));
  weighed.sort((a, b) => Number(b.first) - Number(a.first) || b.shape.width - a.shape.width);
  const found: Shape[] = [];
  for (const { shape, first } of weighed) {
    const w = shortName(shape.unit.name).length * LETTER_PX * unit;
    const fits = shape.width > w || (first && shape.width > NAMED_PX * unit);
    const { x, y } = shape;
    const inside = x - w / 2 > view.x && x + w / 2 < view.x + view.w && y > view.y + LINE_PX * unit && y < view.y + view.h - LINE_PX * unit;
    if (!fits || !inside) continue;
    if (taken.some((one) => Math.abs(one.x - x) < (one.w + w) / 2 && Math.abs(one.y - y) < LINE_PX * unit)) continue;
    taken.push({ x, y, w });
    found.push(shape);
  }
  return found;
}
