// Prove: everything that was ever published, found by filters, and the audit trail.
import { useEffect, useState } from "preact/hooks";
import { dateTime, number } from "../../shared/format";
import { t } from "../../shared/language";
import { LevelChip } from "../../shared/LevelChip";
import { severityWords } from "../../shared/levels";
import { useStore } from "../../shared/store";
import { get } from "../api";
import { UnitSearch } from "../compose/UnitSearch";
import { go, route } from "../router";
import { agencyName, attempt, may, unitName, units } from "../state";
import type { Row } from "../types";
import { ExerciseFlag } from "../ui/Flags";
import { Heading } from "../ui/Heading";
import { ACTIONS, ROW_STATES } from "../watch/WatchPage";
import { Audit } from "./Audit";

const PAGE = 50;

interface Filters { q: string; kind: string; state: string; severity: string; from: string; to: string; unit: string }
const NONE: Filters = { q: "", kind: "", state: "", severity: "", from: "", to: "", unit: "" };

export function ProvePage() {
  const { id } = useStore(route);
  const audit = id === "audit";
  return (
    <>
      <Heading text={audit ? t("Nhật ký kiểm toán", "Audit trail") : t("Lịch sử", "History")}>
        <nav class="tabs" aria-label={t("Phần", "Part")}>
          <a href="/console/prove" aria-current={audit ? undefined : "page"}>{t("Lịch sử", "History")}</a>
          {may("operate") && <a href="/console/prove/audit" aria-current={audit ? "page" : undefined}>{t("Nhật ký kiểm toán", "Audit trail")}</a>}
        </nav>
      </Heading>
      {audit ? <Audit /> : <History />}
    </>
  );
}

function parameters(filters: Filters): string {
  const query = new URLSearchParams({ limit: String(PAGE) });
  for (const [key, value] of Object.entries(filters)) {
    if (value === "") continue;
    // A day of the city's calendar, from its first to its last moment.
    if (key === "from") query.set(key, new Date(`${value}T00:00:00+07:00`).toISOString());
    else if (key === "to") query.set(key, new Date(`${value}T23:59:59+07:00`).toISOString());
    else query.set(key, value);
  }
  return query.toString();
}

function History() {
  const city = useStore(units);
  const [filters, setFilters] = useState<Filters>(NONE);
  const [found, setFound] = useState<Row[] | null>(null);
  const [next, setNext] = useState<string | null>(null);
  const load = (before?: string) => attempt(async () => {
    const path = `/publications?${parameters(filters)}${before ? `&before=${before}` : ""}`;
    const { publications, next: older } = await get<{ publications: Row[]; next?: string }>(path);
    setFound((all) => (before ? [...(all ?? []), ...publications] : publications));
    setNext(older ?? null);
  });
  useEffect(() => {
    const timer = setTimeout(() => void load(), 250);
    return () => clearTimeout(timer);
  }, [JSON.stringify(filters)]);
  const set = (key: keyof Filters) => (event: { currentTarget: { value: string } }) =>
    setFilters({ ...filters, [key]: event.currentTarget.value });
  const select = (key: keyof Filters, label: string, options: [string, string][]) => (
    <label class="field">
      <span>{label}</span>
      <select value={filters[key]} onChange={set(key)}>
        <option value="">{t("tất cả", "all")}</option>
        {options.map(([value, words]) => <option key={value} value={value}>{words}</option>)}
      </select>
    </label>
  );
  return (
    <div class="panel">
      <form class="filters" role="search" onSubmit={(event) => event.preventDefault()}>
        <label class="field grow"><span>{t("Có chữ", "With the words")}</span><input type="search" value={filters.q} onInput={set("q")} /></label>
        {select("kind", t("Loại", "Kind"), [["alert", t("Cảnh báo", "Alerts")], ["notice", t("Tin, khảo sát", "News, surveys")]])}
        {select("state", t("Trạng thái", "State"), [["live", t("đang hiệu lực", "live")], ["ended", t("đã kết thúc", "ended")]])}
        {select("severity", t("Mức", "Severity"), (["Extreme", "Severe", "Moderate", "Minor"] as const).map((one) => [one, severityWords(one)]))}
        <label class="field"><span>{t("Từ ngày", "From")}</span><input type="date" value={filters.from} onInput={set("from")} /></label>
        <label class="field"><span>{t("Đến ngày", "To")}</span><input type="date" value={filters.to} onInput={set("to")} /></label>
        <button type="button" class="quiet" onClick={() => setFilters(NONE)}>{t("Bỏ lọc", "No filters")}</button>
      </form>
      {city && (
        <div class="row wrap">
          <UnitSearch city={city} chosen={[]} onToggle={(unit) => setFilters({ ...filters, unit })} onAdd={([unit]) => unit && setFilters({ ...filters, unit })} />
          {filters.unit && (
            <button type="button" class="pill" onClick={() => setFilters({ ...filters, unit: "" })}>{unitName(filters.unit)} ✕</button>
          )}
        </div>
      )}
      <div class="scroll-x" tabIndex={0} role="region" aria-label={t("Kết quả", "Results")}>
        <table class="plain history as-cards">
          <thead>
            <tr>
              <th scope="col">{t("Lúc", "When")}</th><th scope="col">{t("Mức", "Level")}</th>
              <th scope="col">{t("Tiêu đề", "Headline")}</th><th scope="col">{t("Cơ quan", "Agency")}</th>
              <th scope="col" class="num">{t("Đơn vị", "Units")}</th><th scope="col">{t("Trạng thái", "State")}</th>
            </tr>
          </thead>
          <tbody>
            {(found ?? []).map((row) => (
              <tr key={row.id}>
                <td class="nowrap">{dateTime(row.accepted_at)}</td>
                <td>{row.action === "cancel" ? "–" : row.kind === "alert" ? <LevelChip level={row.level ?? 0} severity={row.severity ?? "Unknown"} /> : t("tin", "notice")}</td>
                <td class="first">
                  {row.exercise && <ExerciseFlag />}{" "}
                  {row.action !== "alert" && <span class="state">{t(...(ACTIONS[row.action] ?? ["", ""]))}</span>}{" "}
                  <a href={`/console/report/${row.id}`}>{row.headline}</a>
                </td>
                <td>{agencyName(row.agency)}</td>
                <td class="num" data-label={t("đơn vị", "units")}>{number(row.units.length)}</td>
                <td>{t(...ROW_STATES[row.state])}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {found?.length === 0 && <p class="hint centre">{t("Không có gì khớp.", "Nothing matches.")}</p>}
      {next && <button type="button" onClick={() => void load(next)}>{t("Cũ hơn", "Older")}</button>}
      {found === null && <p class="loading">{t("Đang tải…", "Loading…")}</p>}
      <p class="hint"><button type="button" class="quiet" onClick={() => go("watch")}>{t("Về màn hình theo dõi", "Back to Watch")}</button></p>
    </div>
  );
}
