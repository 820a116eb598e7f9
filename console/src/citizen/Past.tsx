// Past alerts of one's places, or of the city: public, for anybody.
import { useEffect, useState } from "preact/hooks";
import { t } from "../shared/language";
import { useStore } from "../shared/store";
import { AlertCard } from "./AlertCard";
import { ask, places } from "./device";
import type { Publication } from "./types";
import { isWithdrawal } from "./words";

type Whole = Publication & { state?: string };

const LIMIT = 30;

/** How an alert ended, if it has; a withdrawal is no alert. */
function endOf(publication: Whole, now: number) {
  const { state } = publication;
  if (isWithdrawal(publication)) return false;
  return state === "cancelled" || state === "superseded" ? state : Date.parse(publication.expires) < now;
}

export function Past({ now }: { now: number }) {
  const mine = useStore(places);
  const [items, setItems] = useState<Whole[] | null>(null);
  const [failed, setFailed] = useState(false);
  useEffect(() => {
    const unit = mine.length === 1 ? `&unit=${mine[0]!.code}` : "";
    ask<{ alerts: Whole[] }>("GET", `/v1/alerts/recent?limit=${LIMIT}${unit}`, undefined, {})
      .then(({ alerts }) => setItems(alerts)).catch(() => setFailed(true));
  }, [mine]);
  return (
    <section aria-labelledby="past-title">
      <h1 id="past-title">{t("Cảnh báo gần đây", "Recent alerts")}</h1>
      {failed && <p class="offline">{t("Không tải được. Kiểm tra kết nối.", "Cannot be loaded. Check the connection.")}</p>}
      {items === null && !failed && <p>{t("Đang tải…", "Loading…")}</p>}
      {items?.length === 0 && <p>{t("Chưa có cảnh báo nào.", "No alerts yet.")}</p>}
      {(items ?? []).map((publication) => <AlertCard key={publication.id} publication={publication} now={now} ended={endOf(publication, now)} />)}
      <p><a href="/v1/cap/feed.atom">{t("Nguồn tin CAP (Atom)", "CAP feed (Atom)")}</a></p>
    </section>
  );
}
