// Who has been reached, unit by unit, and the remainder that has not: on the map and in words.
import { useMemo, useState } from "preact/hooks";
import { number } from "../../shared/format";
import { t } from "../../shared/language";
import { useStore } from "../../shared/store";
import { CityMap } from "../map/CityMap";
import { unitName, units } from "../state";
import type { Counts, Funnel } from "../types";
import { Boundaries } from "../ui/Flags";
import { due } from "./Funnel";

const SHOWN = 8;
/** Steps of the map's colour; the share is in the name of each unit too. */
const STEPS = 5;

// What a provider accepted may still lie in a queue: only the app's word counts.
const reachOf = (counts: Counts) => counts.received;
const step = (share: number) => (share >= 1 ? STEPS : Math.max(1, Math.ceil(share * (STEPS - 1))));

export function Reach({ funnel }: { funnel: Funnel }) {
  const city = useStore(units);
  const [all, setAll] = useState(false);
  const codes = Object.keys(funnel.units).sort().join(" ");
  const focusOn = useMemo(() => codes.split(" "), [codes]);
  const missing = Object.entries(funnel.units)
    .map(([code, counts]) => ({ code, counts, rest: due(counts) - reachOf(counts) }))
    .filter(({ rest }) => rest > 0)
    .sort((a, b) => b.rest - a.rest);
  const rest = missing.reduce((sum, one) => sum + one.rest, 0);
  const look = (code: string) => {
    const counts = funnel.units[code];
    if (!counts || due(counts) === 0) return { kind: "none", words: "" };
    const share = reachOf(counts) / due(counts);
    // Whole percents: a name on the map changes a hundred times at most while an alert goes out.
    const whole = Math.floor(share * 100);
    return {
      kind: `reach reach-${step(share)}`,
      words: t(`đã nhận ${whole} % của ${number(due(counts))}`, `${whole} % of ${number(due(counts))} received it`),
    };
  };
  return (
    <div class="reach-view">
      {city && (
        <div class="map-frame small">
          <CityMap city={city} look={look} focusOn={focusOn} label={t("Tỷ lệ đã nhận theo đơn vị", "Share received by unit")} />
          <Boundaries />
        </div>
      )}
      <ul class="legend">
        {[1, 2, 3, 4, 5].map((n) => (
          <li key={n}><span class={`swatch reach-${n}`} /> {["0–25 %", "25–50 %", "50–75 %", "75–99 %", "100 %"][n - 1]}</li>
        ))}
      </ul>
      <h4>{t("Chưa nhận được", "Not reached")}: <b data-test="unreached">{number(rest)}</b></h4>
      {missing.length === 0
        ? <p class="note good">{t("Mọi thiết bị cần đến đều đã nhận.", "Every targeted device has received it.")}</p>
        : (
          <ul class="unreached">
            {missing.slice(0, all ? undefined : SHOWN).map(({ code, counts, rest: n }) => (
              <li key={code}>
                <span>{unitName(code)}</span>
                <span class="bar"><span class="fill bad" style={{ width: `${(100 * n) / due(counts)}%` }} /></span>
                <b>{number(n)}</b><small>/ {number(due(counts))}</small>
              </li>
            ))}
          </ul>
        )}
      {missing.length > SHOWN && (
        <button type="button" class="quiet" onClick={() => setAll(!all)}>
          {all ? t("Thu gọn", "Fewer") : t(`Cả ${missing.length} đơn vị`, `All ${missing.length} units`)}
        </button>
      )}
    </div>
  );
}
