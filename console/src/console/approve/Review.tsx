// One draft side by side: the words in both languages, the area, whom it reaches; then the decision.
import { useEffect, useState } from "preact/hooks";
import { dateTime, number } from "../../shared/format";
import { t } from "../../shared/language";
import { LevelChip } from "../../shared/LevelChip";
import { useStore } from "../../shared/store";
import { get, post, remove, wordsOf } from "../api";
import { Audience } from "../compose/Audience";
import { WHOLE_SHARE } from "../compose/AreaEditor";
import { from, LEVEL_PARAMETER } from "../compose/composition";
import { Findings } from "../compose/Findings";
import { Phones } from "../compose/Phones";
import { CityMap } from "../map/CityMap";
import { go } from "../router";
import { actorWords, attempt, drafts, isMe, may, say, units } from "../state";
import type { AlertBody, Draft, Info, NoticeBody, Preview } from "../types";
import { Confirm } from "../ui/Confirm";
import { Dialog } from "../ui/Dialog";
import { Boundaries, ExerciseFlag } from "../ui/Flags";
import { headlineOf, STATES } from "./ApprovePage";

const UNITS_SHOWN = 30;

type Act = "approve" | "return" | "reject" | "override" | "submit";

export function Review({ draft }: { draft: Draft }) {
  const city = useStore(units);
  const [preview, setPreview] = useState<Preview | null>(null);
  const [error, setError] = useState<string | null>(null);
  const [asking, setAsking] = useState<Act | null>(null);
  const over = draft.state === "published" || draft.state === "overridden" || draft.state === "rejected";
  useEffect(() => {
    if (over) return;
    post<Preview>(`/drafts/${draft.id}/preview`).then(setPreview).catch((e: unknown) => setError(wordsOf(e)));
  }, [draft.id, draft.version]);
  const decide = (act: Act) => async (reason: string) => {
    const done = await attempt(() => post<Draft>(`/drafts/${draft.id}/${act}`, { version: draft.version, ...(reason ? { reason } : {}) }));
    setAsking(null);
    if (done === undefined) {
      // Someone was faster: show what it is now.
      await attempt(async () => {
        const now = await get<Draft>(`/drafts/${draft.id}`);
        drafts.update((all) => all.map((one) => (one.id === now.id ? now : one)));
      });
      return;
    }
    drafts.update((all) => all.map((one) => (one.id === done.id ? { ...one, ...done } : one)));
    say(DONE[act]());
    if (done.publication) go(`watch/${done.publication}`);
  };
  // A unit without a share only has people in a coarse cell that reaches into the area.
  const inside = (preview?.audience.units ?? []).filter(({ share }) => share > 0);
  const shares = new Map(preview?.audience.units.map(({ code, share }) => [code, share]));
  const look = (code: string) => {
    const share = shares.get(code) ?? 0;
    if (share >= WHOLE_SHARE) return { kind: "whole", words: t("toàn bộ", "whole") };
    return share > 0 ? { kind: "part", words: t("một phần", "in part") } : { kind: "none", words: "" };
  };
  const drawn = draft.kind === "notice" ? { polygons: [], circles: [] } : from(draft).drawn;
  return (
    <article class="review" aria-labelledby="review-title">
      <p class="back narrow-only"><a href="/console/approve">← {t("Danh sách", "List")}</a></p>
      <header>
        <p class="row wrap">
          {draft.exercise && <ExerciseFlag />}<Level draft={draft} />
          <span class={`state ${draft.state}`}>{t(...STATES[draft.state])}</span>
        </p>
        <h2 id="review-title">{headlineOf(draft)}</h2>
        <p class="hint">
          {draft.submitted_by ? `${t("Trình bởi", "Submitted by")} ${actorWords(draft.submitted_by)}` : `${t("Soạn bởi", "Written by")} ${actorWords(draft.created_by)}`} · {dateTime(draft.updated_at)}
          {draft.decided_by && ` · ${t("quyết định", "decided")}: ${actorWords(draft.decided_by)}`}
        </p>
        {draft.reason && <p class="note warn">{t("Lý do", "Reason")}: {draft.reason}</p>}
      </header>
      <Words draft={draft} />
      {!over && (
        <>
          <h3>{t("Khu vực", "Area")}</h3>
          {city && preview && (
            <div class="map-frame small">
              <CityMap city={city} look={look} drawn={drawn} focusOn={inside.map(({ code }) => code)} label={t("Khu vực của bản này", "The area of this draft")} />
              <Boundaries />
            </div>
          )}
          {preview && (
            <p class="units-line">
              {inside.slice(0, UNITS_SHOWN).map(({ name, share }) => share >= WHOLE_SHARE ? name : `${name} (${Math.max(1, Math.round(share * 100))} %)`).join(", ")}
              {inside.length > UNITS_SHOWN && ` … +${number(inside.length - UNITS_SHOWN)}`}
            </p>
          )}
          <h3>{t("Đến bao nhiêu người?", "Whom does it reach?")}</h3>
          <Audience preview={preview} busy={false} error={error} />
          <Findings preview={preview} />
          <details class="more"><summary>{t("Trên màn hình khóa", "On the lock screen")}</summary><Phones preview={preview} exercise={draft.exercise ?? false} /></details>
        </>
      )}
      <Decision draft={draft} preview={preview} ask={setAsking} />
      {asking && preview && (asking === "approve" || asking === "override" || asking === "submit") && (
        <Confirm
          draft={draft} preview={preview} grave={asking !== "submit"} onNo={() => setAsking(null)} onYes={decide(asking)}
          title={asking === "approve" ? t("Duyệt và phát ngay?", "Approve and publish now?") : asking === "submit" ? t("Trình người thứ hai duyệt?", "Submit to a second person?") : t("Phát khẩn, không chờ duyệt?", "Override: publish without a second person?")}
          verb={asking === "approve" ? t("Duyệt và phát", "Approve and publish") : asking === "submit" ? t("Trình duyệt", "Submit") : t("Phát khẩn", "Override and publish")}
          {...(asking === "override" ? { reason: t("Lý do (được ghi lại)", "Reason (recorded)") } : {})}
        />
      )}
      {(asking === "return" || asking === "reject") && <Why act={asking} onYes={decide(asking)} onNo={() => setAsking(null)} />}
    </article>
  );
}

const DONE: Record<Act, () => string> = {
  approve: () => t("Đã duyệt và phát.", "Approved and published."),
  override: () => t("Đã phát khẩn. Việc này được ghi lại.", "Published by override. It is recorded."),
  return: () => t("Đã trả lại người soạn.", "Returned to its writer."),
  reject: () => t("Đã từ chối.", "Rejected."),
  submit: () => t("Đã trình.", "Submitted."),
};

function Level({ draft }: { draft: Draft }) {
  const info = (draft.body as AlertBody).infos?.[0];
  if (draft.kind === "notice" || info === undefined) return null;
  return <LevelChip level={Number(info.parameters?.find(({ name }) => name === LEVEL_PARAMETER)?.value)} severity={info.severity} />;
}

function Words({ draft }: { draft: Draft }) {
  if (draft.kind === "notice") {
    const { texts } = draft.body as NoticeBody;
    return (
      <div class="side-by-side">
        {Object.entries(texts).map(([lang, words]) => (
          <section key={lang} lang={lang}><h3>{lang === "vi" ? "Tiếng Việt" : "English"}</h3><p><strong>{words?.title}</strong></p><p>{words?.body}</p></section>
        ))}
      </div>
    );
  }
  const body = draft.body as AlertBody;
  return (
    <>
      {body.note && <p class="note">{body.note}</p>}
      <div class="side-by-side">{(body.infos ?? []).map((info) => <InfoWords key={info.language} info={info} />)}</div>
    </>
  );
}

function InfoWords({ info }: { info: Info }) {
  const rows: [string, string | undefined][] = [
    [t("Tiêu đề", "Headline"), info.headline], [t("Cần làm gì", "What to do"), info.instruction],
    [t("Chuyện gì", "What is happening"), info.description], [t("Sự việc", "Event"), info.event],
    [t("Hết hiệu lực", "Expires"), info.expires && dateTime(info.expires)],
    [t("Vùng", "Area"), info.areas?.map(({ description }) => description).join("; ")],
  ];
  return (
    <section lang={info.language}>
      <h3>{info.language.startsWith("vi") ? "Tiếng Việt" : "English"}</h3>
      <dl class="words-list">
        {rows.map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{value || "–"}</dd></div>)}
      </dl>
    </section>
  );
}

function Decision({ draft, preview, ask }: { draft: Draft; preview: Preview | null; ask: (act: Act) => void }) {
  if (draft.state === "editing" || draft.state === "returned") {
    const drop = () => attempt(async () => {
      await remove(`/drafts/${draft.id}`);
      drafts.update((all) => all.filter((one) => one.id !== draft.id));
      go("approve");
    });
    return (
      <div class="decision">
        {draft.kind !== "notice" && draft.kind !== "cancel" && <a class="button primary" href={`/console/compose?draft=${draft.id}`}>{t("Sửa tiếp", "Go on editing")}</a>}
        {may("write") && <button type="button" disabled={preview === null} onClick={() => ask("submit")}>{t("Trình duyệt…", "Submit…")}</button>}
        <button type="button" class="quiet" onClick={() => void drop()}>{t("Xóa nháp", "Delete draft")}</button>
      </div>
    );
  }
  if (draft.state !== "submitted") {
    return draft.publication ? <div class="decision"><a class="button primary" href={`/console/watch/${draft.publication}`}>{t("Xem việc phát", "Watch it")}</a></div> : null;
  }
  const own = isMe(draft.submitted_by);
  return (
    <div class="decision">
      {own && <p class="note warn">{t("Bạn đã trình bản này: người khác phải duyệt.", "You submitted this: somebody else must approve it.")}</p>}
      {may("approve") && !own && (
        <>
          <button type="button" class="danger" disabled={preview === null} onClick={() => ask("approve")}>{t("Duyệt và phát…", "Approve and publish…")}</button>
          <button type="button" onClick={() => ask("return")}>{t("Trả lại…", "Return…")}</button>
          <button type="button" onClick={() => ask("reject")}>{t("Từ chối…", "Reject…")}</button>
        </>
      )}
      {may("override") && own && <button type="button" class="danger-line" disabled={preview === null} onClick={() => ask("override")}>{t("Phát khẩn…", "Override…")}</button>}
      {!may("approve") && !own && <p class="hint">{t("Bạn không có quyền duyệt.", "You may not approve.")}</p>}
    </div>
  );
}

function Why({ act, onYes, onNo }: { act: "return" | "reject"; onYes: (reason: string) => Promise<void>; onNo: () => void }) {
  const [reason, setReason] = useState("");
  const title = act === "return" ? t("Trả lại để sửa", "Return it") : t("Từ chối bản này", "Reject it");
  return (
    <Dialog title={title} onClose={onNo}>
      <label class="field">
        <span>{t("Lý do (người soạn sẽ thấy)", "Reason (its writer sees it)")}</span>
        <textarea rows={3} name="reason" value={reason} onInput={(event) => setReason(event.currentTarget.value)} />
      </label>
      <div class="row end">
        <button type="button" onClick={onNo}>{t("Quay lại", "Go back")}</button>
        <button type="button" class="primary" disabled={reason.trim() === ""} onClick={() => void onYes(reason.trim())}>
          {act === "return" ? t("Trả lại", "Return") : t("Từ chối", "Reject")}
        </button>
      </div>
    </Dialog>
  );
}
