// Approve: what waits for a second person, what came back, what is still being written.
import { t } from "../../shared/language";
import { ago } from "../../shared/format";
import { LevelChip } from "../../shared/LevelChip";
import { useStore } from "../../shared/store";
import { LEVEL_PARAMETER } from "../compose/composition";
import { route } from "../router";
import { actorWords, drafts, isMe } from "../state";
import type { AlertBody, Draft, NoticeBody } from "../types";
import { ExerciseFlag } from "../ui/Flags";
import { Heading } from "../ui/Heading";
import { useNow } from "../ui/useNow";
import { Review } from "./Review";

export const STATES: Record<Draft["state"], [string, string]> = {
  editing: ["đang soạn", "being written"], submitted: ["chờ duyệt", "waiting"],
  returned: ["trả lại", "returned"], approved: ["đã duyệt", "approved"],
  rejected: ["bị từ chối", "rejected"], published: ["đã phát", "published"],
  overridden: ["phát khẩn", "overridden"],
};

export function headlineOf(draft: Draft): string {
  if (draft.kind === "notice") return (draft.body as NoticeBody).texts.vi?.title ?? "";
  const headline = (draft.body as AlertBody).infos?.[0]?.headline;
  return headline || (draft.kind === "cancel" ? t("Thu hồi cảnh báo", "Withdrawal") : t("(chưa có tiêu đề)", "(no headline yet)"));
}

export function ApprovePage() {
  const { id } = useStore(route);
  const all = useStore(drafts);
  const chosen = all.find((draft) => draft.id === id);
  const waiting = all.filter(({ state }) => state === "submitted");
  const open = all.filter(({ state }) => state === "editing" || state === "returned");
  const decided = all.filter((draft) => !waiting.includes(draft) && !open.includes(draft)).slice(0, 20);
  return (
    <>
      <Heading text={t("Duyệt", "Approve")} />
      <div class={chosen ? "split has-detail" : "split"}>
        <div class="list-pane">
          <Group title={t("Chờ người thứ hai", "Waiting for a second person")} drafts={waiting} chosen={id} empty={t("Không có bản nào chờ duyệt.", "Nothing is waiting.")} />
          <Group title={t("Đang soạn, trả lại", "Being written, returned")} drafts={open} chosen={id} />
          <Group title={t("Đã quyết định", "Decided")} drafts={decided} chosen={id} />
        </div>
        <div class="detail-pane">
          {chosen
            ? <Review key={`${chosen.id} ${chosen.version} ${chosen.state}`} draft={chosen} />
            : <p class="hint centre">{t("Chọn một bản để xem và quyết định.", "Choose one to look at and decide on.")}</p>}
        </div>
      </div>
    </>
  );
}

function Group(props: { title: string; drafts: Draft[]; chosen: string | undefined; empty?: string }) {
  const now = useNow(30_000);
  if (props.drafts.length === 0 && !props.empty) return null;
  return (
    <section>
      <h2>{props.title} <span class="badge">{props.drafts.length}</span></h2>
      {props.drafts.length === 0 && <p class="hint">{props.empty}</p>}
      <ul class="cards">
        {props.drafts.map((draft) => {
          const info = (draft.body as AlertBody).infos?.[0];
          const level = Number(info?.parameters?.find(({ name }) => name === LEVEL_PARAMETER)?.value);
          const mine = isMe(draft.submitted_by);
          return (
            <li key={draft.id}>
              <a class="card" href={`/console/approve/${draft.id}`} aria-current={draft.id === props.chosen ? "true" : undefined}>
                <span class="row wrap">
                  {info && <LevelChip level={level} severity={info.severity} />}
                  {draft.exercise && <ExerciseFlag />}
                  <span class={`state ${draft.state}`}>{t(...STATES[draft.state])}</span>
                  {draft.state === "submitted" && mine && <span class="hint">{t("bạn trình", "yours")}</span>}
                </span>
                <strong>{headlineOf(draft)}</strong>
                <small>{actorWords(draft.submitted_by ?? draft.created_by)} · {ago(draft.updated_at, now)}</small>
              </a>
            </li>
          );
        })}
      </ul>
    </section>
  );
}
