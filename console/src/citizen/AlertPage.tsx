// The page of one alert: linkable, with its chain and the CAP message.
import { useEffect, useState } from "preact/hooks";
import { dateTime } from "../shared/format";
import { t } from "../shared/language";
import { known } from "./alerts";
import { AlertCard } from "./AlertCard";
import { ask } from "./device";
import { Genuine } from "./Genuine";
import type { Publication } from "./types";
import { textOf } from "./words";

type Whole = Publication & { state?: string; superseded_by?: string };
interface Answer { publication: Whole; chain: Publication[] }

export function AlertPage({ id, now }: { id: string; now: number }) {
  const kept = known.get().items.find((one) => one.id === id) ?? null;
  const [publication, setPublication] = useState<Whole | null>(kept);
  const [chain, setChain] = useState<Publication[]>([]);
  const [missing, setMissing] = useState(false);
  useEffect(() => {
    ask<Answer>("GET", `/v1/alerts/${id}/public`, undefined, {})
      .then((answer) => {
        setPublication(answer.publication);
        setChain(answer.chain);
      })
      .catch(() => setMissing(true));
  }, [id]);
  if (publication === null) {
    return (
      <section>
        <h1>{missing ? t("Không tìm thấy cảnh báo này", "This alert was not found") : t("Đang tải…", "Loading…")}</h1>
        <p><a href="/">{t("Xem cảnh báo đang có", "See what is active")}</a></p>
      </section>
    );
  }
  const over = Date.parse(publication.expires) < now || publication.state === "superseded" || publication.state === "cancelled";
  const units = publication.area?.descriptions ?? [];
  return (
    <section>
      <p><a href="/">← {t("Mọi cảnh báo", "All alerts")}</a></p>
      {publication.superseded_by && <p class="remark"><a href={`/alerts/${publication.superseded_by}`}>{t("Đã có bản mới hơn: xem bản mới", "There is a newer version: see it")}</a></p>}
      <AlertCard publication={publication} now={now} whole ended={over && publication.action !== "cancel"} />
      {units.length > 0 && <p><strong>{t("Khu vực", "Area")}:</strong> {units.join("; ")}</p>}
      <p class="meta">{t("Phát lúc", "Published")} {dateTime(publication.accepted_at)} · {t("hết hiệu lực", "expires")} {dateTime(publication.expires)}</p>
      <Genuine publication={publication} />
      {chain.length > 1 && (
        <>
          <h2>{t("Diễn biến", "Timeline")}</h2>
          <ol class="timeline">
            {chain.map((one) => <li key={one.id}><a href={`/alerts/${one.id}`}>{dateTime(one.accepted_at)}</a> – {textOf(one).title}</li>)}
          </ol>
        </>
      )}
    </section>
  );
}
