// What can still be done: take it back, say it anew, correct it.
import { useState } from "preact/hooks";
import { number } from "../../shared/format";
import { t } from "../../shared/language";
import { useStore } from "../../shared/store";
import { post } from "../api";
import { attempt, funnels, may, reload, say } from "../state";
import type { Row } from "../types";
import { Dialog } from "../ui/Dialog";

export function Actions({ publication }: { publication: Row }) {
  const [asking, setAsking] = useState(false);
  const live = publication.state === "live" && publication.action !== "cancel";
  return (
    <div class="row wrap actions">
      {live && publication.kind === "alert" && (may("approve") || may("override")) && (
        <button type="button" class="danger" onClick={() => setAsking(true)}>{t("Thu hồi", "Recall")}</button>
      )}
      {live && publication.kind === "alert" && may("write") && (
        <a class="button" href={`/console/compose?of=${publication.id}`}>{t("Cập nhật, đính chính", "Update or correct")}</a>
      )}
      <span class="grow" />
      <a class="button" href={`/console/report/${publication.id}`}>{t("Báo cáo", "Report")}</a>
      {publication.kind === "alert" && <a class="button quiet" href={`/v1/cap/${publication.id}.xml`} target="_blank" rel="noopener">CAP</a>}
      {asking && <Recall publication={publication} close={() => setAsking(false)} />}
    </div>
  );
}

/** One question, so that a slip does not withdraw an alert; the button has the keyboard already. */
function Recall({ publication, close }: { publication: Row; close: () => void }) {
  const [reason, setReason] = useState("");
  const total = useStore(funnels).get(publication.id)?.total;
  const recall = () => attempt(async () => {
    await post(`/publications/${publication.id}/recall`, reason.trim() ? { reason: reason.trim() } : {});
    close();
    say(t("Đã thu hồi. Những ai đã nhận sẽ được báo.", "Recalled. Everyone who got it is told."));
    await reload();
  });
  return (
    <Dialog title={t("Thu hồi cảnh báo này?", "Recall this alert?")} onClose={close} grave>
      <p><strong>{publication.headline}</strong></p>
      <p>
        {t("Ngừng gửi ngay. Tin thu hồi đến mọi người đã nhận hoặc có thể đã nhận", "Sending stops at once. The withdrawal goes to everyone who got it or may have")}
        {total && ` (${number(total.sent)})`}.
      </p>
      <label class="field">
        <span>{t("Lý do (không bắt buộc)", "Reason (optional)")}</span>
        <textarea rows={2} name="reason" value={reason} onInput={(event) => setReason(event.currentTarget.value)} />
      </label>
      <div class="row end">
        <button type="button" onClick={close}>{t("Quay lại", "Go back")}</button>
        <button type="button" class="danger" autofocus onClick={() => void recall()}>{t("Thu hồi ngay", "Recall now")}</button>
      </div>
    </Dialog>
  );
}
