// The page of one alert: linkable, with its chain and the CAP message.
import { useEffect, useState } from "preact/hooks";
import { dateTime } from "../shared/format";
import { t } from "../shared/language";
import { known } from "./alerts";
import { AlertCard } from "./AlertCard";
import type { Shapes } from "./AreaMap";
import { ask } from "./device";
import { Forged, Genuine, useVerdict } from "./Genuine";
import { Later } from "./Later";
import type { Publication } from "./types";
import { Where } from "./Where";
import { isWithdrawal, lineOf } from "./words";

type Whole = Publication & { state?: string; superseded_by?: string };
interface Answer { publication: Whole; chain: Publication[]; shapes: Shapes }

export function AlertPage({ id, now }: { id: string; now: number }) {
  const kept = known.get().items.find((one) => one.id === id) ?? null;
  const [publication, setPublication] = useState<Whole | null>(kept);
  const [chain, setChain] = useState<Publication[]>([]);
  const [shapes, setShapes] = useState<Shapes>({ polygons: [], circles: [] });
  const [missing, setMissing] = useState(false);
  useEffect(() => {
    ask<Answer>("GET", `/v1/alerts/${id}/public`, undefined, {})
      .then((answer) => {
        setPublication(answer.publication);
        setChain(answer.chain);
        setShapes(answer.shapes);
      })
      .catch(() => setMissing(true));
  }, [id]);
  const verdict = useVerdict(publication);
  if (publication === null) {
    return (
      <section>
        <h1>{missing ? t("Không tìm thấy cảnh báo này", "This alert was not found") : t("Đang tải…", "Loading…")}</h1>
        <p><a href="/">{t("Xem cảnh báo đang có", "See what is active")}</a></p>
      </section>
    );
  }
  const { state } = publication;
  const over = state === "superseded" || state === "cancelled" ? state : Date.parse(publication.expires) < now;
  const units = publication.area?.units ?? [];
  return (
    <section>
      <p><a href="/">← {t("Mọi cảnh báo", "All alerts")}</a></p>
      {publication.superseded_by && <p class="remark"><a href={`/alerts/${publication.superseded_by}`}>{state === "cancelled" ? t("Cảnh báo này đã được thu hồi: xem bản thu hồi", "This warning was withdrawn: see the withdrawal") : t("Đã có bản mới hơn: xem bản mới", "There is a newer version: see it")}</a></p>}
      <Forged verdict={verdict} />
      <AlertCard publication={publication} now={now} whole ended={isWithdrawal(publication) ? false : over} />
      <Where publication={publication} />
      {units.length > 0 && <Later kind="area-map" summary={t("Xem trên bản đồ", "See it on a map")} load={() => import("./AreaMap")} props={{ units, shapes }} />}
      <p class="meta">{t("Phát lúc", "Published")} {dateTime(publication.accepted_at)} · {t("hết hiệu lực", "expires")} {dateTime(publication.expires)}</p>
      <Genuine verdict={verdict} />
      {chain.length > 1 && (
        <>
          <h2>{t("Diễn biến", "Timeline")}</h2>
          <ol class="timeline">
            {chain.map((one) => <li key={one.id}><a href={`/alerts/${one.id}`}>{dateTime(one.accepted_at)}</a> – {lineOf(one)}</li>)}
          </ol>
        </>
      )}
    </section>
  );
}
