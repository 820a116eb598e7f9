// Drill: exercises that cannot reach citizens who did not opt in, and canary devices that show every
// few minutes that the whole way works.
import { useEffect, useState } from "preact/hooks";
import { dateTime, milliseconds, number, time } from "../../shared/format";
import { t } from "../../shared/language";
import { useStore } from "../../shared/store";
import { get, post, remove } from "../api";
import { UnitSearch } from "../compose/UnitSearch";
import { attempt, linkTest, may, say, unitName, units } from "../state";
import type { Drills } from "../types";
import { Heading } from "../ui/Heading";

const HISTORY_SHOWN = 48;

export function DrillPage() {
  const [drills, setDrills] = useState<Drills | null>(null);
  const tests = useStore(linkTest);
  const load = () => attempt(async () => setDrills(await get<Drills>("/drills")));
  const operator = may("operate");
  useEffect(() => void (operator && load()), [tests]);
  const run = () => attempt(async () => {
    await post("/drills/link-test");
    say(t("Đang thử đường truyền.", "A link test is running."));
    setTimeout(() => void load(), 2000);
  });
  const drop = (device: string) => attempt(async () => {
    await remove(`/drills/${device}`);
    await load();
  });
  const bad = drills?.canaries.filter(({ ok }) => !ok) ?? [];
  return (
    <>
      <Heading text={t("Diễn tập", "Drill")} />
      <div class="drill-grid">
        <div class="stack">
        <section class="panel" aria-labelledby="d-exercise">
          <h2 id="d-exercise">{t("Cảnh báo diễn tập", "An exercise alert")}</h2>
          <p>{t("Đi đúng con đường của cảnh báo thật, nhưng chỉ đến thiết bị đã đăng ký tham gia diễn tập, và luôn mang chữ DIỄN TẬP.", "It goes the way of a real alert, but reaches only devices that opted in, and always says EXERCISE.")}</p>
          <a class="button primary" href="/console/compose?exercise=1">{t("Soạn cảnh báo diễn tập", "Write an exercise alert")}</a>
        </section>
        {operator && <section class="panel" aria-labelledby="d-links">
          <h2 id="d-links">{t("Thử đường truyền", "Link test")}</h2>
          <p>
            {drills && t(`Tự chạy mỗi ${drills.schedule_minutes} phút đến ${number(drills.canaries.length)} thiết bị canh chừng.`, `Runs every ${drills.schedule_minutes} minutes to ${number(drills.canaries.length)} canary devices.`)}
          </p>
          {drills && (bad.length === 0
            ? <p class="note good">{t("Mọi thiết bị canh chừng đều nhận được.", "Every canary received it.")}</p>
            : <p class="note bad" role="alert">{t("Không nhận được", "Not received")}: {bad.map(({ unit }) => unitName(unit)).join(", ")}</p>)}
          <button type="button" onClick={() => void run()}>{t("Thử ngay", "Test now")}</button>
        </section>}
        {operator && <section class="panel" aria-labelledby="d-history">
          <h2 id="d-history">{t("Các lần thử gần đây", "Recent tests")}</h2>
          <History drills={drills} />
        </section>}
        </div>
        {operator && <section class="panel" aria-labelledby="d-canaries">
          <h2 id="d-canaries">{t("Thiết bị canh chừng theo đơn vị", "Canaries by unit")}</h2>
          <div class="scroll-y" tabIndex={0} role="region" aria-label={t("Thiết bị canh chừng", "Canaries")}>
            <table class="plain">
              <thead><tr><th scope="col">{t("Đơn vị", "Unit")}</th><th scope="col">{t("Gửi", "Sent")}</th><th scope="col">{t("Nhận", "Received")}</th><th scope="col">{t("Tình trạng", "State")}</th><th><span class="sr-only">{t("Bỏ", "Remove")}</span></th></tr></thead>
              <tbody>
                {(drills?.canaries ?? []).map((canary) => (
                  <tr key={canary.device}>
                    <th scope="row">{unitName(canary.unit)}</th>
                    <td>{canary.last_sent_at ? time(canary.last_sent_at) : "–"}</td>
                    <td>{canary.last_received_at ? time(canary.last_received_at) : "–"}</td>
                    <td><span class={`lamp ${canary.ok ? "good" : "bad"}`} aria-hidden="true" /> {canary.ok ? t("tốt", "well") : t("không nhận", "not received")}</td>
                    <td><button type="button" class="quiet" aria-label={t(`Bỏ ${unitName(canary.unit)}`, `Remove ${unitName(canary.unit)}`)} onClick={() => void drop(canary.device)}>✕</button></td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
          <AddCanary done={() => void load()} />
        </section>}
      </div>
    </>
  );
}

/** A device of ours becomes the canary of a unit. */
function AddCanary({ done }: { done: () => void }) {
  const city = useStore(units);
  const [unit, setUnit] = useState("");
  const [device, setDevice] = useState("");
  const add = () => attempt(async () => {
    await post("/drills", { unit, device: device.trim() });
    setUnit("");
    setDevice("");
    done();
  });
  return (
    <details class="more">
      <summary>{t("Thêm thiết bị canh chừng", "Add a canary")}</summary>
      {city && <UnitSearch city={city} chosen={[unit]} onToggle={setUnit} onAdd={([first]) => first && setUnit(first)} />}
      {unit && <p><b>{unitName(unit)}</b></p>}
      <label class="field"><span>{t("Mã thiết bị", "Device id")}</span><input value={device} onInput={(event) => setDevice(event.currentTarget.value)} /></label>
      <button type="button" disabled={unit === "" || device.trim() === ""} onClick={() => void add()}>{t("Thêm", "Add")}</button>
    </details>
  );
}

function History({ drills }: { drills: Drills | null }) {
  const history = (drills?.history ?? []).slice(0, HISTORY_SHOWN);
  if (history.length === 0) return <p class="hint">{t("Chưa có lần thử nào.", "No test yet.")}</p>;
  return (
    <ul class="link-history">
      {history.map((one) => {
        const whole = one.received >= one.sent;
        const words = `${dateTime(one.at)}: ${number(one.received)}/${number(one.sent)}${one.ms_p50 == null ? "" : `, ${milliseconds(one.ms_p50)}`}`;
        return <li key={one.at} class={whole ? "good" : "bad"} title={words}><span class="sr-only">{words}</span>{whole ? "✓" : "!"}</li>;
      })}
    </ul>
  );
}
