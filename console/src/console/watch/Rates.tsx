// How fast it goes: sent, accepted, received and shown a second.
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { language, t } from "../../shared/language";
import { number, timeWithSeconds } from "../../shared/format";
import { useStore } from "../../shared/store";
import { dark } from "../../shared/theme";
import type { Rate } from "../types";

const SERIES: readonly [keyof Rate & ("sent" | "accepted" | "received" | "shown"), string, string, number[]][] = [
  ["sent", "gửi", "sent", []], ["accepted", "nhà cung cấp nhận", "accepted", [6, 4]],
  ["received", "điện thoại nhận", "received", []], ["shown", "hiện", "shown", [2, 3]],
];
const HEIGHT = 180;

export function Rates({ rates }: { rates: Rate[] }) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const lang = useStore(language);
  const look = useStore(dark);
  useEffect(() => {
    const box = place.current!;
    const css = getComputedStyle(document.documentElement);
    const colour = (name: string) => css.getPropertyValue(name).trim();
    const axis = { stroke: colour("--ink-soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
    const made = new uPlot({
      width: Math.max(200, box.clientWidth), height: HEIGHT, legend: { show: false }, cursor: { show: false },
      scales: { y: { range: (_, __, max) => [0, Math.max(1, max * 1.1)] } },
      axes: [{ ...axis, size: 28, space: 70, values: (_, ticks) => ticks.map((at) => timeWithSeconds(new Date(at * 1000))) }, { ...axis, size: 56, values: (_, ticks) => ticks.map((n) => number(n)) }],
      series: [{}, ...SERIES.map(([key, , , dash]) => ({ stroke: colour(`--c-${key}`), width: 2, dash, points: { show: false } }))],
    }, dataOf(rates), box);
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: Math.max(200, box.clientWidth), height: HEIGHT }));
    observer.observe(box);
    return () => {
      observer.disconnect();
      made.destroy();
    };
  }, [lang, look]);
  useEffect(() => plot.current?.setData(dataOf(rates)), [rates]);
  const last = rates[rates.length - 1];
  return (
    <div>
      <div ref={place} role="img" aria-label={t("Biểu đồ tốc độ", "Chart of the rates")} />
      <ul class="legend">
        {SERIES.map(([key, vi, en]) => (
          <li key={key}><span class={`line ${key}`} /> {t(vi, en)} <b>{number(Math.round(last?.[key] ?? 0))}</b></li>
        ))}
      </ul>
    </div>
  );
}

function dataOf(rates: Rate[]): uPlot.AlignedData {
  // The axis wants rising times; two of the same second would draw a wall.
  const sorted = [...rates].sort((a, b) => Date.parse(a.at) - Date.parse(b.at));
  return [
    sorted.map(({ at }) => Date.parse(at) / 1000),
    ...SERIES.map(([key]) => sorted.map((rate) => rate[key])),
  ] as uPlot.AlignedData;
}
