// The certificates that an agency signs its CAP messages with.
import { useState } from "preact/hooks";
import { dateTime } from "../../shared/format";
import { t } from "../../shared/language";
import { put, remove } from "../api";
import { attempt, say } from "../state";
import type { Agency, Certificate } from "../types";
import { Dialog } from "../ui/Dialog";
import { useList } from "./useList";

const KINDS: Record<string, string> = { rsa: "RSA", p256: "ECDSA P-256", p384: "ECDSA P-384" };

export function Certificates({ agency, close }: { agency: Agency; close: () => void }) {
  const path = `/agencies/${encodeURIComponent(agency.id)}/certificates`;
  const [answer, load] = useList<{ certificates: Certificate[] }>(path);
  const [name, setName] = useState("");
  const [pem, setPem] = useState("");
  const register = () => attempt(async () => {
    const { request } = await put<{ request?: string }>(`${path}/${encodeURIComponent(name)}`, { pem });
    say(request ? t("Chờ quản trị viên thứ hai xác nhận.", "A second admin must confirm.") : t("Đã đăng ký.", "Registered."));
    setName("");
    setPem("");
    load();
  });
  const drop = (one: string) => attempt(async () => {
    await remove(`${path}/${encodeURIComponent(one)}`);
    load();
  });
  return (
    <Dialog title={t(`Chứng thư số của ${agency.name}`, `Certificates of ${agency.name}`)} onClose={close}>
      <p class="hint">{t("Tin CAP XML có chữ ký số được kiểm tra bằng các chứng thư này.", "Signed CAP XML is verified with these.")}</p>
      <ul class="plain-list">
        {(answer?.certificates ?? []).map((one) => (
          <li class="row wrap" key={one.name}>
            <span class="grow"><b class="mono">{one.name}</b> <small>{one.subject} · {KINDS[one.kind] ?? one.kind}, {one.bits} bit · {t("có hiệu lực", "valid")} {dateTime(one.not_before)} – {dateTime(one.not_after)}</small><br /><small class="mono anywhere">SHA-256 {one.fingerprint}</small></span>
            <button type="button" class="quiet" aria-label={t(`Gỡ chứng thư ${one.name}`, `Remove ${one.name}`)} onClick={() => void drop(one.name)}>{t("Gỡ", "Remove")}</button>
          </li>
        ))}
      </ul>
      {answer !== null && answer.certificates.length === 0 && <p class="hint">{t("Chưa có chứng thư nào.", "There is none.")}</p>}
      <label class="field"><span>{t("Tên chứng thư mới", "Name of a new certificate")}</span><input value={name} onInput={(event) => setName(event.currentTarget.value)} /></label>
      <label class="field"><span>{t("Chứng thư X.509 (PEM)", "X.509 certificate (PEM)")}</span><textarea class="mono" rows={4} value={pem} onInput={(event) => setPem(event.currentTarget.value)} /></label>
      <div class="row end"><button type="button" onClick={close}>{t("Đóng", "Close")}</button><button type="button" class="primary" disabled={name === "" || pem.trim() === ""} onClick={() => void register()}>{t("Đăng ký", "Register")}</button></div>
    </Dialog>
  );
}
