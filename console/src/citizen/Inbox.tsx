// Everything that came for this browser, and after login the steps of one's own reports and dossiers.
import { useEffect, useState } from "preact/hooks";
import { ago } from "../shared/format";
import { t } from "../shared/language";
import { useStore } from "../shared/store";
import { known } from "./alerts";
import { ask, credentials, device, session } from "./device";
import { LoginLink } from "./login";
import { Survey } from "./Survey";
import type { Config, Publication } from "./types";
import { textOf } from "./words";

interface Item { publication: Publication; state: "live" | "superseded" | "expired" }

export function Inbox({ now, config }: { now: number; config: Config | null }) {
  const mine = useStore(device);
  const { at } = useStore(known);
  const inside = useStore(session);
  const [items, setItems] = useState<Item[] | null>(null);
  const [failed, setFailed] = useState(false);
  useEffect(() => {
    if (Object.keys(credentials()).length === 0) return;
    ask<{ items?: Item[]; publications?: Item[] }>("GET", "/v1/inbox?limit=50")
      .then((page) => { setItems(page.items ?? page.publications ?? []); setFailed(false); })
      .catch(() => setFailed(true));
  }, [mine, at, inside]);
  return (
    <section aria-labelledby="inbox-title">
      <h1 id="inbox-title">{t("Hộp thư", "Inbox")}</h1>
      <LoginLink config={config} />
      {mine === null && <p>{t("Chọn nơi ở trong Cài đặt để có hộp thư.", "Choose a place in Settings to have an inbox.")}</p>}
      {failed && <p class="offline">{t("Không tải được hộp thư.", "The inbox cannot be loaded.")}</p>}
      {items?.length === 0 && <p>{t("Chưa có thư nào.", "Nothing yet.")}</p>}
      <ul class="inbox">
        {(items ?? []).map(({ publication, state }) => <Letter key={publication.id} publication={publication} state={state} now={now} />)}
      </ul>
    </section>
  );
}

const STATES: Record<string, [string, string]> = {
  received: ["Đã tiếp nhận", "Received"], "in-progress": ["Đang xử lý", "In progress"],
  resolved: ["Đã giải quyết", "Resolved"], rejected: ["Từ chối", "Rejected"], closed: ["Đã đóng", "Closed"],
};

function Letter({ publication, state, now }: Item & { now: number }) {
  const text = textOf(publication);
  const { status } = publication;
  const stateWords = status && STATES[status.state];
  return (
    <li class={state === "live" ? "letter" : "letter is-over"}>
      <p class="meta">{text.sender ?? publication.agency} · {ago(publication.accepted_at, now)}{state !== "live" && ` · ${state === "expired" ? t("hết hạn", "expired") : t("đã thay", "superseded")}`}</p>
      {status
        ? <><h2>{t("Hồ sơ, phản ánh", "Report or dossier")} {status.reference}</h2><p><strong>{stateWords ? t(...stateWords) : status.state}</strong>{status.remark && `: ${status.remark}`}</p></>
        : <><h2>{publication.kind === "alert" ? <a href={`/alerts/${publication.id}`}>{text.title}</a> : text.title}</h2><p>{text.instruction ?? text.body}</p></>}
      {text.web && <p><a href={text.web} rel="noopener noreferrer">{t("Xem thêm", "Read more")}</a></p>}
      {publication.questions && state === "live" && <Survey publication={publication} />}
    </li>
  );
}
