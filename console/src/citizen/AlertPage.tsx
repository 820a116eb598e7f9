// The page of one alert: linkable, with its chain and the CAP message.
import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { dateTime } from "../shared/format";
import { t } from "../shared/language";
import { known } from "./alerts";
import { AlertCard } from "./AlertCard";
import type { Shapes } from "./AreaMap";
import { ask } from "./device";
import { Genuine } from "./Genuine";
import type { Publication } from "./types";
import { textOf } from "./words";

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
      {(publication.area?.units.length ?? 0) > 0 && <LazyMap units={publication.area!.units} shapes={shapes} />}
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

/** The map weighs more than the words, so it comes when it is opened. */
function LazyMap(props: { units: string[]; shapes: Shapes }) {
  const [AreaMap, setMap] = useState<ComponentType<typeof props> | null>(null);
  const [failed, setFailed] = useState(false);
  const open = (event: { currentTarget: HTMLDetailsElement }) => {
    if (!event.currentTarget.open || AreaMap) return;
    import("./AreaMap").then((map) => setMap(() => map.default)).catch(() => setFailed(true));
  };
  return (
    <details class="area-map" onToggle={open}>
      <summary>{t("Xem trên bản đồ", "See it on a map")}</summary>
      {AreaMap && <AreaMap {...props} />}
      {failed && <p class="offline">{t("Không tải được bản đồ.", "The map cannot be loaded.")}</p>}
    </details>
  );
}
