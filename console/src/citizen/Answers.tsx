// "I am safe", "I need help": one answer, the newest counts, and the number to call either way.
import { useState } from "preact/hooks";
import { keepSetting, readSetting, t } from "../shared/language";
import { useStore } from "../shared/store";
import { ask, device } from "./device";
import type { Publication } from "./types";

type Answer = "safe" | "help";

export function Answers({ publication }: { publication: Publication }) {
  const now = useStore(device);
  const key = `loa.answer.${publication.chain}`;
  const [given, setGiven] = useState<Answer | null>((readSetting(key) as Answer | null) || null);
  const [note, setNote] = useState("");
  const [asking, setAsking] = useState(false);
  const [failed, setFailed] = useState(false);
  const send = async (answer: Answer) => {
    setFailed(false);
    try {
      await ask("POST", "/v1/answers", { publication: publication.id, answer, ...(note.trim() ? { note: note.trim() } : {}) });
      keepSetting(key, answer);
      setGiven(answer);
      setAsking(false);
    } catch {
      setFailed(true);
    }
  };
  if (now === null) {
    return <p class="remark">{t("Chọn nơi ở để trả lời “Tôi an toàn” hoặc “Tôi cần giúp”.", "Choose your place to answer “I am safe” or “I need help”.")}</p>;
  }
  return (
    <div class="answers" role="group" aria-label={t("Bạn thế nào?", "How are you?")}>
      <button type="button" class="safe" aria-pressed={given === "safe"} onClick={() => void send("safe")}>{t("Tôi an toàn", "I am safe")}</button>
      <button type="button" class="help" aria-pressed={given === "help"} onClick={() => setAsking(!asking)}>{t("Tôi cần giúp", "I need help")}</button>
      {asking && (
        <div class="help-form">
          <p><strong>{t("Nguy hiểm tính mạng: gọi ngay", "In danger of life: call")} <a href="tel:112">112</a></strong></p>
          <label>
            {t("Cần gì, ở đâu (không bắt buộc)", "What you need, where (optional)")}
            <textarea rows={2} maxLength={500} value={note} onInput={(event) => setNote(event.currentTarget.value)} />
          </label>
          <button type="button" class="help" onClick={() => void send("help")}>{t("Gửi: tôi cần giúp", "Send: I need help")}</button>
        </div>
      )}
      <p role="status" class="answer-state">
        {failed && t("Chưa gửi được. Hãy thử lại, hoặc gọi 112.", "Not sent. Try again, or call 112.")}
        {!failed && given === "safe" && t("✓ Đã báo: bạn an toàn.", "✓ Told: you are safe.")}
        {!failed && given === "help" && <>{t("✓ Đã báo: bạn cần giúp. Nguy hiểm: gọi", "✓ Told: you need help. In danger call")} <a href="tel:112">112</a></>}
      </p>
    </div>
  );
}
