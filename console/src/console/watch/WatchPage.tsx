// Watch: what is live, and one publication in full.
import { useStore } from "../../shared/store";
import { ago, number, percent } from "../../shared/format";
import { t } from "../../shared/language";
import { LevelChip } from "../../shared/LevelChip";
import { route } from "../router";
import { agencyName, funnels, rows } from "../state";
import type { Row } from "../types";
import { ExerciseFlag } from "../ui/Flags";
import { Heading } from "../ui/Heading";
import { useNow } from "../ui/useNow";
import { due } from "./Funnel";
import { PublicationView } from "./PublicationView";

export const ROW_STATES: Record<Row["state"], [string, string]> = {
  live: ["đang hiệu lực", "live"], expired: ["hết hạn", "expired"],
  superseded: ["đã thay bằng bản mới", "superseded"], cancelled: ["đã thu hồi", "withdrawn"],
};
export const ACTIONS: Record<string, [string, string]> = {
  alert: ["Phát", "Alert"], update: ["Cập nhật", "Update"], cancel: ["Thu hồi", "Cancel"],
};

/** Older ones are found under Prove. */
const ENDED_MAX = 8;

export function WatchPage() {
  const { id } = useStore(route);
  const all = useStore(rows);
  const live = all.filter(({ state }) => state === "live");
  const ended = all.filter(({ state }) => state !== "live").slice(0, ENDED_MAX);
  const shown = id ?? live[0]?.id;
  return (
    <>
      <Heading text={t("Theo dõi", "Watch")} />
      <div class={id ? "split watch has-detail" : "split watch"}>
        <div class="list-pane">
          <h2>{t("Đang hiệu lực", "Live")} <span class="badge">{live.length}</span></h2>
          {live.length === 0 && <p class="hint">{t("Không có tin nào đang hiệu lực.", "Nothing is live.")}</p>}
          <List rows={live} shown={shown} />
          {ended.length > 0 && <h2>{t("Vừa kết thúc", "Ended lately")}</h2>}
          <List rows={ended} shown={shown} />
        </div>
        <div class="detail-pane">
          {shown
            ? <PublicationView key={shown} id={shown} />
            : (
              <div class="empty">
                <p>{t("Thành phố đang yên.", "The city is quiet.")}</p>
                <a class="button primary" href="/console/compose">{t("Soạn cảnh báo", "Write an alert")}</a>
              </div>
            )}
        </div>
      </div>
    </>
  );
}

function List(props: { rows: Row[]; shown: string | undefined }) {
  const now = useNow(10_000);
  const counts = useStore(funnels);
  return (
    <ul class="cards">
      {props.rows.map((row) => {
        const total = counts.get(row.id)?.total;
        return (
          <li key={row.id}>
            <a class="card" href={`/console/watch/${row.id}`} aria-current={row.id === props.shown ? "true" : undefined}>
              <span class="row wrap">
                {row.action === "cancel" ? null : row.kind === "alert" ? <LevelChip {...(row.level ? { level: row.level } : {})} {...(row.severity ? { severity: row.severity } : {})} /> : <span class="state">{t("tin", "notice")}</span>}
                {row.action !== "alert" && <span class="state">{t(...(ACTIONS[row.action] ?? ["", ""]))}</span>}
                {row.exercise && <ExerciseFlag />}
                {row.state !== "live" && <span class={`state ${row.state}`}>{t(...ROW_STATES[row.state])}</span>}
              </span>
              <strong>{row.headline}</strong>
              <small>
                {agencyName(row.agency)} · {ago(row.accepted_at, now)}
                {total && ` · ${percent(total.received, due(total))} / ${number(due(total))}`}
              </small>
            </a>
          </li>
        );
      })}
    </ul>
  );
}
