// Where: units by click, search or code, and areas drawn on the map. Whole and part units differ by
// pattern, not by colour alone.
import { useMemo, useState } from "preact/hooks";
import { number } from "../../shared/format";
import { t } from "../../shared/language";
import type { Point } from "../../shared/geo";
import { CityMap } from "../map/CityMap";
import { useDrawing, type Drawn, type Tool } from "../map/drawing";
import { session, unitName } from "../state";
import type { Preview, Units } from "../types";
import { Boundaries } from "../ui/Flags";
import { Icon } from "../ui/Icon";
import type { Composition } from "./composition";
import { UnitSearch } from "./UnitSearch";

/** From this share on a unit counts as whole on the screen: borders are never drawn that exactly. */
export const WHOLE_SHARE = 0.995;

interface Props {
  city: Units; now: Composition; set: (next: Composition) => void; preview: Preview | null;
  /** What is being drawn, so that the audience can be asked for before it is finished. */
  onSketch: (sketch: Drawn | null) => void;
}

export function AreaEditor({ city, now, set, preview, onSketch }: Props) {
  const [focusOn, setFocusOn] = useState<string[]>([]);
  const may = session.get()?.agency.jurisdiction.units;
  const { units, drawn } = now;
  const chosen = useMemo(() => new Set(units), [units]);
  const shares = useMemo(
    () => new Map(preview?.audience.units.map(({ code, share }) => [code, share])), [preview],
  );
  const drawing = useDrawing(
    (polygon, circle) => set({
      ...now,
      drawn: {
        polygons: polygon ? [...drawn.polygons, polygon] : drawn.polygons,
        circles: circle ? [...drawn.circles, circle] : drawn.circles,
      },
    }),
    (shape) => onSketch(shape === null ? null : {
      polygons: shape.polygon ? [shape.polygon] : [], circles: shape.circle ? [shape.circle] : [],
    }),
  );
  const toggle = (code: string) =>
    set({ ...now, units: chosen.has(code) ? units.filter((one) => one !== code) : [...units, code] });
  const add = (codes: string[]) => {
    set({ ...now, units: [...new Set([...units, ...codes])] });
    setFocusOn(codes);
  };
  const look = (code: string) => {
    const share = chosen.has(code) ? 1 : (shares.get(code) ?? 0);
    if (share >= WHOLE_SHARE) return { kind: "whole", words: t("toàn bộ", "whole") };
    if (share > 0) {
      const part = Math.max(1, Math.round(share * 100));
      return { kind: "part", words: t(`một phần, ${part} % diện tích`, `in part, ${part} % of its area`) };
    }
    if (may && !may.includes(code)) return { kind: "out", words: t("ngoài thẩm quyền", "outside your jurisdiction") };
    return { kind: "none", words: "" };
  };
  const all = may ?? city.units.map(({ code }) => code);
  return (
    <>
      <UnitSearch city={city} chosen={units} onToggle={(code) => { toggle(code); setFocusOn([code]); }} onAdd={add} />
      <div class="row wrap tools" role="toolbar" aria-label={t("Cách chọn khu vực", "Ways to choose the area")}>
        <ToolButton now={drawing.tool} tool="select" icon="pointer" text={t("Chọn đơn vị", "Choose units")} set={drawing.setTool} />
        <ToolButton now={drawing.tool} tool="polygon" icon="polygon" text={t("Vẽ vùng", "Draw a polygon")} set={drawing.setTool} />
        <ToolButton now={drawing.tool} tool="circle" icon="circle" text={t("Vẽ vòng tròn", "Draw a circle")} set={drawing.setTool} />
        <span class="grow" />
        <button type="button" class="quiet" onClick={() => set({ ...now, units: all })}>
          {may ? t("Mọi đơn vị của tôi", "All my units") : t("Cả thành phố", "Whole city")}
        </button>
        <button type="button" class="quiet" onClick={() => set({ ...now, units: [], drawn: { polygons: [], circles: [] } })}>
          {t("Xóa hết", "Clear")}
        </button>
      </div>
      <DrawingHint tool={drawing.tool} corners={drawing.corners} fault={drawing.fault} finish={drawing.finish} cancel={drawing.cancel} />
      <div class="map-frame">
        <CityMap
          city={city} look={look} drawn={drawn} drawing={drawing} onToggle={toggle} focusOn={focusOn}
          isChosen={(code) => chosen.has(code)} label={t("Bản đồ thành phố, chọn đơn vị", "Map of the city, choose units")}
        />
        <Boundaries />
      </div>
      <Legend />
      <Chosen now={now} set={set} toggle={toggle} />
    </>
  );
}

function ToolButton(props: { now: Tool; tool: Tool; icon: string; text: string; set: (tool: Tool) => void }) {
  return (
    <button type="button" class="tool" aria-pressed={props.now === props.tool} onClick={() => props.set(props.tool)}>
      <Icon name={props.icon} /> {props.text}
    </button>
  );
}

function DrawingHint(props: {
  tool: Tool; corners: Point[]; fault: string | null; finish: () => void; cancel: () => void;
}) {
  const faults: Record<string, string> = {
    crosses: t("Đường vẽ tự cắt nhau: hãy bỏ điểm cuối.", "The line crosses itself: take the last corner back."),
    many: t("Đã đủ 100 góc.", "100 corners is the most."),
  };
  const select = t("Bấm vào đơn vị để chọn hoặc bỏ. Phím mũi tên đi từng đơn vị, phím cách để chọn; + và − để phóng to, thu nhỏ.", "Click units to choose or drop them. Arrows go from unit to unit, Space chooses; + and − zoom.");
  const how = props.tool === "select" ? select : props.tool === "polygon"
    ? t("Bấm để đặt góc, bấm góc đầu hoặc phím F để xong. Phím mũi tên + Enter cũng vẽ được, Backspace bỏ góc cuối.", "Click to set corners, click the first or press F to finish. Arrows and Enter draw too; Backspace takes one back.")
    : t("Bấm vào tâm, rồi bấm vào mép. Phím mũi tên + Enter cũng được.", "Click the centre, then the edge. Arrows and Enter work too.");
  return (
    <p class={props.fault === "crosses" ? "hint drawing-hint bad" : "hint drawing-hint"} role="status">
      <span>{(props.fault && faults[props.fault]) ?? how}</span>
      {props.tool === "polygon" && (
        <button type="button" class="pill" onClick={props.finish} disabled={props.corners.length < 3 || props.fault === "crosses"}>
          {t("Xong", "Finish")}
        </button>
      )}
      {props.tool !== "select" && <button type="button" class="pill" onClick={props.cancel}>{t("Thôi", "Cancel")}</button>}
    </p>
  );
}

export function Legend() {
  return (
    <ul class="legend" aria-label={t("Chú giải", "Legend")}>
      <li><span class="swatch whole" /> {t("toàn đơn vị", "whole unit")}</li>
      <li><span class="swatch part" /> {t("một phần", "part of a unit")}</li>
      <li><span class="swatch drawn" /> {t("vùng vẽ", "drawn area")}</li>
    </ul>
  );
}

function Chosen({ now, set, toggle }: { now: Composition; set: (next: Composition) => void; toggle: (code: string) => void }) {
  const { units, drawn } = now;
  const without = <T,>(all: T[], index: number) => all.filter((_, i) => i !== index);
  return (
    <ul class="chips" aria-label={t("Khu vực đã chọn", "Chosen area")}>
      {drawn.polygons.map((polygon, i) => (
        <li key={`p${i}`}>
          <Icon name="polygon" /> {t(`Vùng ${i + 1}: ${polygon.length} góc`, `Polygon ${i + 1}: ${polygon.length} corners`)}
          <Drop name={t(`vùng ${i + 1}`, `polygon ${i + 1}`)} onClick={() => set({ ...now, drawn: { ...drawn, polygons: without(drawn.polygons, i) } })} />
        </li>
      ))}
      {drawn.circles.map((circle, i) => (
        <li key={`c${i}`}>
          <Icon name="circle" />
          <label>
            {t("Bán kính", "Radius")}{" "}
            <input
              type="number" min="0.05" max="100" step="0.1" value={circle.radius_km} class="short"
              onChange={(event) => {
                const radius_km = Math.min(100, Math.max(0.05, Number(event.currentTarget.value) || 0.05));
                set({ ...now, drawn: { ...drawn, circles: drawn.circles.map((c, j) => (j === i ? { ...c, radius_km } : c)) } });
              }}
            />{" km"}
          </label>
          <Drop name={t(`vòng tròn ${i + 1}`, `circle ${i + 1}`)} onClick={() => set({ ...now, drawn: { ...drawn, circles: without(drawn.circles, i) } })} />
        </li>
      ))}
      {units.slice(0, 24).map((code) => (
        <li key={code}>{unitName(code)}<Drop name={unitName(code)} onClick={() => toggle(code)} /></li>
      ))}
      {units.length > 24 && <li>{t(`và ${number(units.length - 24)} đơn vị nữa`, `and ${number(units.length - 24)} more units`)}</li>}
    </ul>
  );
}

function Drop({ name, onClick }: { name: string; onClick: () => void }) {
  return (
    <button type="button" class="drop" aria-label={t(`Bỏ ${name}`, `Remove ${name}`)} onClick={onClick}>
      <Icon name="close" />
    </button>
  );
}
