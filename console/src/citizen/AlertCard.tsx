// One alert: how grave, what to do, what happened, where, until when. Text first.
import { useState } from "preact/hooks";
import { ago, dateTime } from "../shared/format";
import { language, t } from "../shared/language";
import { LevelChip } from "../shared/LevelChip";
import { levelOf, levelOfSeverity } from "../shared/levels";
import { useStore } from "../shared/store";
import { Answers } from "./Answers";
import { ask, device } from "./device";
import { canSpeak, speak, speaking } from "./speak";
import type { Publication } from "./types";
import { isWithdrawal, senderOf, spokenOf, textOf, withdrawn } from "./words";

/** `ended`: it says nothing any more, or why. */
interface Props { publication: Publication; now: number; whole?: boolean; ended?: boolean | "cancelled" | "superseded" }

const endWords = (ended: Props["ended"]) =>
  ended === "cancelled" ? t("Đã thu hồi", "Withdrawn") : ended === "superseded" ? t("Đã thay bằng bản mới", "Replaced") : t("Đã kết thúc", "Ended");

export function AlertCard({ publication, now, whole, ended }: Props) {
  const text = textOf(publication);
  const aloud = useStore(speaking);
  const level = levelOf(publication.level) ?? levelOfSeverity(publication.severity);
  const cancelled = isWithdrawal(publication);
  const kind = cancelled || ended ? "alert-card is-over" : `alert-card edge-${level?.number ?? "none"}`;
  const Title = whole ? "h1" : "h2";
  return (
    <article class={kind} lang={text.language} aria-labelledby={`t-${publication.id}`} data-id={publication.id}>
      <p class="marks">
        {publication.exercise && <strong class="exercise">{t("DIỄN TẬP", "EXERCISE")}</strong>}
        {cancelled
          ? <strong class="all-clear">{t("Thu hồi", "Withdrawal")}</strong>
          : <LevelChip {...(publication.level ? { level: publication.level } : {})} {...(publication.severity ? { severity: publication.severity } : {})} />}
        {publication.action === "update" && <span class="tag">{t("Cập nhật", "Update")}</span>}
        {ended && <span class="tag">{endWords(ended)}</span>}
      </p>
      {cancelled
        ? <>
            <Title id={`t-${publication.id}`} class="alert-title" lang={language.get()}>{withdrawn()}</Title>
            <p class="taken-back">{text.title}</p>
            {!text.body && !text.instruction && <p lang={language.get()}>{t("Cảnh báo trước đó không còn hiệu lực.", "The earlier warning no longer applies.")}</p>}
          </>
        : <Title id={`t-${publication.id}`} class="alert-title">{text.title}</Title>}
      {text.instruction && <p class="instruction">{text.instruction}</p>}
      {text.body && text.body !== text.instruction && <p>{text.body}</p>}
      {publication.coarse && (
        <p class="remark">{t("Chỉ một phần phường, xã của bạn nằm trong vùng này: có thể không liên quan đến bạn.", "Only a part of your unit is affected: it may not concern you.")}</p>
      )}
      <p class="meta">
        {senderOf(publication)} · {ago(publication.accepted_at, now)}
        {!cancelled && !ended && ` · ${t("đến", "until")} ${dateTime(publication.expires)}`}
        {publication.area?.boundaries === "approximate" && ` · ${t("ranh giới gần đúng", "approximate boundaries")}`}
      </p>
      <div class="buttons">
        {canSpeak() && (
          <button type="button" onClick={() => speak(publication.id, spokenOf(publication))} aria-pressed={aloud === publication.id}>
            {aloud === publication.id ? t("■ Dừng đọc", "■ Stop") : t("▶ Đọc to", "▶ Read aloud")}
          </button>
        )}
        {!ended && <Acknowledge id={publication.id} />}
        {whole
          ? publication.cap && <a class="button" href={publication.cap}>{t("Bản CAP gốc", "The CAP message")}</a>
          : <a class="button" href={`/alerts/${publication.id}`}>{t("Xem đầy đủ", "Details")}</a>}
      </div>
      {!cancelled && !ended && publication.kind === "alert" && <Answers publication={publication} />}
    </article>
  );
}

function Acknowledge({ id }: { id: string }) {
  const now = useStore(device);
  const [state, setState] = useState<"open" | "done" | "failed">("open");
  if (now === null) return null;
  const send = () =>
    ask("POST", "/v1/receipts", { receipts: [{ publication: id, stage: "acknowledged" }] })
      .then(() => setState("done")).catch(() => setState("failed"));
  if (state === "done") return <span class="done" role="status">✓ {t("Đã ghi nhận bạn đã đọc", "Noted that you read it")}</span>;
  return (
    <button type="button" onClick={() => void send()}>
      {state === "failed" ? t("Chưa gửi được – thử lại", "Not sent – try again") : t("✓ Tôi đã đọc", "✓ I have read it")}
    </button>
  );
}
