// One publication while it goes out: the funnel, the map, the rates, and who has not been reached.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { dateTime, milliseconds, number } from "../../shared/format";
import { t } from "../../shared/language";
import { LevelChip } from "../../shared/LevelChip";
import { useStore } from "../../shared/store";
import { get } from "../api";
import { actorWords, agencyName, answered, attempt, funnels, rows } from "../state";
import type { Detail } from "../types";
import { ExerciseFlag } from "../ui/Flags";
import { useNow } from "../ui/useNow";
import { Actions } from "./Actions";
import { Answers } from "./Answers";
import { Chain } from "./Chain";
import { due, FunnelBars, FunnelTable } from "./Funnel";
import { Providers } from "./Providers";
import { LiveRates } from "./LiveRates";
import { Reach } from "./Reach";
import { Since } from "./Since";
import { ACTIONS, ROW_STATES } from "./WatchPage";

/** The rest – answers, chain, who decided – is read again this long after the last change. */
const SETTLE_MS = 2_000;
/** And at least this often while it changes. */
const REFRESH_MS = 5_000;
const SPOKEN_MS = 20_000;

export function PublicationView({ id }: { id: string }) {
  const [detail, setDetail] = useState<Detail | null>(null);
  const live = useStore(funnels).get(id);
  const said = useStore(answered).get(id);
  const row = useStore(rows).find((one) => one.id === id);
  const loadedAt = useRef(0);
  const load = () => attempt(async () => {
    loadedAt.current = Date.now();
    setDetail(await get<Detail>(`/publications/${id}`));
  });
  useEffect(() => void load(), [id, row?.state, said]);
  useEffect(() => {
    if (live === undefined) return undefined;
    const due = Date.now() - loadedAt.current > REFRESH_MS;
    const timer = setTimeout(() => void load(), due ? 0 : SETTLE_MS);
    return () => clearTimeout(timer);
  }, [live]);
  if (detail === null) return <p class="loading">{t("Đang tải…", "Loading…")}</p>;
  const publication = { ...detail.publication, ...row };
  const funnel = live ?? detail.funnel;
  const latency = live?.latency ?? detail.latency ?? detail.funnel.latency ?? {};
  const over = publication.state !== "live";
  const info = detail.publication.alert?.infos?.[0];
  return (
    <article class="publication" aria-labelledby="publication-title">
      <p class="back narrow-only"><a href="/console/watch">← {t("Danh sách", "List")}</a></p>
      <header class="panel hero">
        <div>
          <p class="row wrap">
            {publication.action !== "alert" && <span class="state">{t(...(ACTIONS[publication.action] ?? ["", ""]))}</span>}
            {publication.kind === "alert" && publication.action !== "cancel" && <LevelChip level={publication.level ?? 0} severity={publication.severity ?? "Unknown"} />}
            {publication.exercise && <ExerciseFlag />}
            <span class={`state ${publication.state}`}>{t(...ROW_STATES[publication.state])}</span>
          </p>
          <h2 id="publication-title">{publication.headline}</h2>
          {info?.instruction && <p>{info.instruction}</p>}
          <p class="hint">
            {agencyName(publication.agency)} · {t("phát", "published")} {dateTime(publication.accepted_at)} · {t("hết hiệu lực", "expires")} {dateTime(publication.expires)}
          </p>
          <Decided detail={detail} />
          <Signed detail={detail} />
        </div>
        <Since at={publication.accepted_at} over={funnel.open_dispatches === 0} />
      </header>
      <Actions publication={publication} />
      <div class="watch-grid">
        <div class="stack">
          <section class="panel" aria-labelledby="w-funnel">
            <h3 id="w-funnel">{t("Phễu phát tin", "Funnel")}</h3>
            <FunnelBars counts={funnel.total} open={funnel.open_dispatches} />
            <dl class="figures small">
              <div><dt>{t("50 % sau", "50 % after")}</dt><dd>{latency.p50 === undefined || latency.p50 === null ? "–" : milliseconds(latency.p50)}</dd></div>
              <div><dt>{t("99 % sau", "99 % after")}</dt><dd>{latency.p99 === undefined || latency.p99 === null ? "–" : milliseconds(latency.p99)}</dd></div>
              <div><dt>{t("Lần cuối", "Last")}</dt><dd>{latency.last === undefined || latency.last === null ? "–" : milliseconds(latency.last)}</dd></div>
            </dl>
          </section>
          <section class="panel" aria-labelledby="w-rates">
            <h3 id="w-rates">{t("Tốc độ mỗi giây", "Rates a second")}</h3>
            <LiveRates id={id} known={detail.rates} />
          </section>
        </div>
        <section class="panel" aria-labelledby="w-reach">
          <h3 id="w-reach">{t("Theo đơn vị", "By unit")}</h3>
          <Reach funnel={funnel} />
        </section>
        <div class="stack">
          <Answers detail={detail} />
          <section class="panel" aria-labelledby="w-providers">
            <h3 id="w-providers">{t("Nhà cung cấp", "Providers")}</h3>
            <Providers />
          </section>
          <section class="panel" aria-labelledby="w-chain">
            <h3 id="w-chain">{t("Diễn biến", "Timeline")}</h3>
            <Chain chain={detail.chain} shown={id} />
          </section>
        </div>
        <section class="panel span" aria-labelledby="w-channels">
          <h3 id="w-channels">{t("Theo kênh", "By channel")}</h3>
          <FunnelTable funnel={funnel} {...(detail.funnel.forecast ? { forecast: detail.funnel.forecast } : {})} over={over} />
        </section>
      </div>
      <Spoken received={funnel.total.received} all={due(funnel.total)} />
    </article>
  );
}

/** For a screen reader, a few times a minute: a figure a second would drown everything else. */
function Spoken({ received, all }: { received: number; all: number }) {
  const beat = useNow(SPOKEN_MS);
  const said = useMemo(
    () => t(`Đã nhận ${number(received)} trên ${number(all)}.`, `${number(received)} of ${number(all)} received.`), [beat],
  );
  return <p class="sr-only" role="status">{said}</p>;
}

/** What the agency's own signature was verified with. */
function Signed({ detail }: { detail: Detail }) {
  const by = detail.publication.signed_by;
  if (!by) return null;
  return (
    <p class="hint">
      {t("Chữ ký số đã được xác minh bằng chứng thư", "Signature verified with certificate")} <b class="mono">{by.certificate}</b>{" "}
      <small class="mono anywhere">SHA-256 {by.fingerprint}</small>
    </p>
  );
}

function Decided({ detail }: { detail: Detail }) {
  const decided = detail.publication.decided;
  if (!decided) return null;
  return (
    <p class={decided.overridden_by ? "note bad" : "hint"}>
      {decided.submitted_by && `${t("Trình", "Submitted")}: ${actorWords(decided.submitted_by)}`}
      {decided.approved_by && (decided.submitted_by
        ? ` · ${t("Duyệt", "Approved")}: ${actorWords(decided.approved_by)}`
        : `${t("Phát bởi", "Published by")} ${actorWords(decided.approved_by)}`)}
      {decided.overridden_by && `${t("PHÁT KHẨN bởi", "OVERRIDE by")} ${actorWords(decided.overridden_by)}`}
      {decided.reason && ` – ${decided.reason}`}
    </p>
  );
}
