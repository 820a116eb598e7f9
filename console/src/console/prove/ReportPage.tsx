// The report of one publication, for paper: what, who decided when, who was reached how fast, what
// failed.
import { useEffect, useState } from "preact/hooks";
import { dateTime, milliseconds, number, percent, timeWithSeconds } from "../../shared/format";
import { t } from "../../shared/language";
import { LevelChip } from "../../shared/LevelChip";
import { useStore } from "../../shared/store";
import { get } from "../api";
import { route } from "../router";
import { actorWords, agencyName, attempt, session, unitName } from "../state";
import type { Detail } from "../types";
import { ExerciseFlag } from "../ui/Flags";
import { Heading } from "../ui/Heading";
import { due, failedTotal, FunnelBars, FunnelTable } from "../watch/Funnel";
import { ACTIONS, ROW_STATES } from "../watch/WatchPage";

export function ReportPage() {
  const { id } = useStore(route);
  const now = useStore(session);
  const [detail, setDetail] = useState<Detail | null>(null);
  useEffect(() => void attempt(async () => setDetail(await get<Detail>(`/publications/${id}`))), [id]);
  if (detail === null) return <p class="loading">{t("Đang tải…", "Loading…")}</p>;
  const { publication, funnel, chain } = detail;
  const latency = detail.latency ?? funnel.latency ?? {};
  const infos = publication.alert?.infos ?? [];
  return (
    <>
      <Heading text={t("Báo cáo phát tin", "Report of a publication")}>
        <div class="row wrap no-print">
          <button type="button" class="primary" onClick={() => window.print()}>{t("In, lưu PDF", "Print, save as PDF")}</button>
          <a class="button" href={`/v1/console/publications/${publication.id}/report.csv`} download>CSV</a>
          <a class="button quiet" href={`/console/watch/${publication.id}`}>{t("Theo dõi", "Watch")}</a>
        </div>
      </Heading>
      <article class="report panel">
        <header>
          <p class="row wrap">
            {publication.kind === "alert" && <LevelChip level={publication.level ?? 0} severity={publication.severity ?? "Unknown"} />}
            {publication.exercise && <ExerciseFlag />}<span class="state">{t(...ROW_STATES[publication.state])}</span>
          </p>
          <h2>{publication.headline}</h2>
        </header>
        <dl class="words-list wide">
          <Line name={t("Mã", "Id")} value={publication.id} />
          <Line name={t("Cơ quan", "Agency")} value={agencyName(publication.agency)} />
          <Line name={t("Trình bởi", "Submitted by")} value={publication.decided && actorWords(publication.decided.submitted_by)} />
          <Line name={t("Duyệt bởi", "Approved by")} value={publication.decided && actorWords(publication.decided.approved_by)} />
          {publication.decided?.overridden_by && <Line name={t("PHÁT KHẨN bởi", "OVERRIDE by")} value={actorWords(publication.decided.overridden_by)} />}
          <Line name={t("Lý do", "Reason")} value={publication.decided?.reason} />
          <Line name={t("Phát lúc", "Published")} value={`${dateTime(publication.accepted_at)} (${timeWithSeconds(publication.accepted_at)})`} />
          <Line name={t("Hết hiệu lực", "Expires")} value={dateTime(publication.expires)} />
          <Line name={t("Đơn vị", "Units")} value={publication.units.map(unitName).join(", ")} />
        </dl>
        {now?.boundaries === "approximate" && <p class="note warn">{t("Đơn vị được chọn theo ranh giới gần đúng.", "Units were chosen by approximate boundaries.")}</p>}
        <div class="side-by-side">
          {infos.map((info) => (
            <section key={info.language} lang={info.language}>
              <h3>{info.language.startsWith("vi") ? "Tiếng Việt" : "English"}</h3>
              <p><strong>{info.headline}</strong></p><p>{info.instruction}</p><p>{info.description}</p>
            </section>
          ))}
        </div>
        <h3>{t("Đến được bao nhiêu, nhanh thế nào", "How many were reached, how fast")}</h3>
        <FunnelBars counts={funnel.total} open={funnel.open_dispatches} />
        <p>
          {t("Nửa số người", "Half")}: <b>{latency.p50 == null ? "–" : milliseconds(latency.p50)}</b> · 99 %: <b>{latency.p99 == null ? "–" : milliseconds(latency.p99)}</b> · {t("lần cuối", "last")}: <b>{latency.last == null ? "–" : milliseconds(latency.last)}</b>
        </p>
        <FunnelTable funnel={funnel} {...(funnel.forecast ? { forecast: funnel.forecast } : {})} over />
        <h3>{t("Theo đơn vị", "By unit")}</h3>
        <table class="plain">
          <thead>
            <tr>
              <th scope="col">{t("Đơn vị", "Unit")}</th><th scope="col" class="num">{t("Cần đến", "Targeted")}</th>
              <th scope="col" class="num">{t("Nhà cung cấp nhận", "Accepted")}</th><th scope="col" class="num">{t("Đã nhận", "Received")}</th>
              <th scope="col" class="num">{t("Thất bại", "Failed")}</th><th scope="col" class="num">{t("Tỷ lệ nhận", "Share received")}</th>
            </tr>
          </thead>
          <tbody>
            {Object.entries(funnel.units).map(([code, counts]) => (
              <tr key={code}>
                <th scope="row">{unitName(code)}</th><td class="num">{number(counts.targeted)}</td><td class="num">{number(counts.accepted)}</td>
                <td class="num">{number(counts.received)}</td><td class="num">{number(failedTotal(counts))}</td><td class="num">{percent(counts.received, due(counts))}</td>
              </tr>
            ))}
          </tbody>
        </table>
        <h3>{t("Diễn biến", "Timeline")}</h3>
        <ol class="plain-list">
          {chain.map((row) => <li key={row.id}>{dateTime(row.accepted_at)} – <b>{t(...(ACTIONS[row.action] ?? [row.action, row.action]))}</b>: {row.headline}</li>)}
        </ol>
        <footer class="hint">{t("In lúc", "Printed")} {dateTime(new Date())} · {now?.person.name}</footer>
      </article>
    </>
  );
}

function Line({ name, value }: { name: string; value: string | undefined }) {
  return <div><dt>{name}</dt><dd>{value || "–"}</dd></div>;
}
