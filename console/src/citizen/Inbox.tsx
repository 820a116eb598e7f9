// Everything that came for this browser, and after login the steps of one's own reports and dossiers.
import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { ago } from "../shared/format";
import { pick, readSetting, t } from "../shared/language";
import { useStore } from "../shared/store";
import { known } from "./alerts";
import { ask, credentials, device, session } from "./device";
import { Later } from "./Later";
import { LoginLink } from "./login";
import type { Config, Publication } from "./types";
import { lineOf, senderOf, textOf } from "./words";

interface Words { vi: string; en: string }
/** The words for kinds and states are data of the node. */
type Kinds = Record<string, { name: Words; states: Record<string, Words> }>;
interface Item { publication: Publication; state: "live" | "superseded" | "expired" }

export function Inbox({ now, config }: { now: number; config: Config | null }) {
  const mine = useStore(device);
  const { at } = useStore(known);
  const inside = useStore(session);
  const [items, setItems] = useState<Item[] | null>(null);
  const [failed, setFailed] = useState(false);
  const [kinds, setKinds] = useState<Kinds | null>(null);
  useEffect(() => {
    // What is answered after its reader logged out, or after something newer was asked, is not shown.
    let current = true;
    if (Object.keys(credentials()).length === 0) setItems(null);
    else ask<{ items?: Item[]; publications?: Item[] }>("GET", "/v1/inbox?limit=50").then(
      (page) => { if (current) { setItems(page.items ?? page.publications ?? []); setFailed(false); } },
      () => { if (current) setFailed(true); });
    return () => { current = false; };
  }, [mine, at, inside]);
  const remembered = (readSetting("loa.report") ?? "null") !== "null";
  const personal = items?.some(({ publication }) => publication.status) ?? false;
  useEffect(() => {
    if (personal) ask<{ kinds: Kinds }>("GET", "/v1/status-kinds", undefined, {}).then((all) => setKinds(all.kinds)).catch(() => setKinds({}));
  }, [personal]);
  return (
    <section aria-labelledby="inbox-title">
      <h1 id="inbox-title">{t("Hộp thư", "Inbox")}</h1>
      <LoginLink config={config} />
      <Later kind="report" summary={t("Theo dõi phản ánh 1022 bằng mã bí mật", "Follow a 1022 report with its code")} open={remembered} load={() => import("./Report")} props={{}} />
      {mine === null && <p>{t("Chọn nơi ở trong Cài đặt để có hộp thư.", "Choose a place in Settings to have an inbox.")}</p>}
      {failed && <p class="offline">{t("Không tải được hộp thư.", "The inbox cannot be loaded.")}</p>}
      {items?.length === 0 && <p>{t("Chưa có thư nào.", "Nothing yet.")}</p>}
      <ul class="inbox">
        {(items ?? []).map(({ publication, state }) => <Letter key={publication.id} publication={publication} state={state} now={now} kinds={kinds} />)}
      </ul>
    </section>
  );
}

function Letter({ publication, state, now, kinds }: Item & { now: number; kinds: Kinds | null }) {
  const text = textOf(publication);
  const { status } = publication;
  const kind = status?.kind ? kinds?.[status.kind] : undefined;
  const words = status && kind?.states[status.state];
  // A state's code is for whom nothing better can be had, not for while its words are on their way.
  const moved = words ? pick(words) : kinds ? status?.state : "…";
  return (
    <li class={state === "live" ? "letter" : "letter is-over"}>
      <p class="meta">{senderOf(publication)} · {ago(publication.accepted_at, now)}{state !== "live" && ` · ${state === "expired" ? t("hết hạn", "expired") : t("không còn hiệu lực", "no longer in force")}`}</p>
      {status
        ? <><h2>{kind ? pick(kind.name) : t("Hồ sơ, phản ánh", "Report or dossier")} {status.reference}</h2><p><strong>{moved}</strong>{status.remark && `: ${status.remark}`}</p></>
        : <><h2>{publication.kind === "alert" ? <a href={`/alerts/${publication.id}`}>{lineOf(publication)}</a> : text.title}</h2><p>{text.instruction ?? text.body}</p></>}
      {text.web && <p><a href={text.web} rel="noopener noreferrer">{t("Xem thêm", "Read more")}</a></p>}
      {publication.questions && state === "live" && <Questions publication={publication} />}
    </li>
  );
}

/** A survey is rare: what asks it is loaded when there is one. */
function Questions(props: { publication: Publication }) {
  const [Survey, setSurvey] = useState<ComponentType<typeof props> | null>(null);
  const [failed, setFailed] = useState(false);
  useEffect(() => void import("./Survey").then((loaded) => setSurvey(() => loaded.Survey)).catch(() => setFailed(true)), []);
  if (failed) return <p class="offline">{t("Không tải được khảo sát. Kiểm tra kết nối.", "The survey cannot be loaded. Check the connection.")}</p>;
  return Survey && <Survey {...props} />;
}
