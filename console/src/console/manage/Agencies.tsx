// Agencies: where, of what and how gravely each may speak; and the keys of their machines.
import { useState } from "preact/hooks";
import { dateTime } from "../../shared/format";
import { t } from "../../shared/language";
import { severityWords, type Severity } from "../../shared/levels";
import { post, put, remove } from "../api";
import { attempt, say } from "../state";
import { codesIn } from "../../shared/text";
import type { Agency, Key } from "../types";
import { Dialog } from "../ui/Dialog";
import { Certificates } from "./Certificates";
import { useList } from "./useList";

const KINDS: readonly [string, string, string][] = [
  ["alert", "cảnh báo", "alerts"], ["notice", "tin, khảo sát", "notices"], ["status-change", "trạng thái hồ sơ", "status changes"],
];

export function Agencies() {
  const [answer, load] = useList<{ agencies: Agency[] }>("/agencies");
  const [editing, setEditing] = useState<Agency | null>(null);
  const [keys, setKeys] = useState<Agency | null>(null);
  const [certificates, setCertificates] = useState<Agency | null>(null);
  const fresh: Agency = { id: "", name: "", operator: false, jurisdiction: { highest_severity: "Severe", kinds: ["alert"] } };
  return (
    <section class="panel">
      <div class="row wrap"><h2 class="grow">{t("Cơ quan", "Agencies")}</h2><button type="button" class="primary" onClick={() => setEditing(fresh)}>{t("Thêm cơ quan", "Add an agency")}</button></div>
      <div class="scroll-x" tabIndex={0} role="region" aria-label={t("Cơ quan", "Agencies")}>
        <table class="plain as-cards">
          <thead><tr><th scope="col">{t("Tên", "Name")}</th><th scope="col">{t("Mã", "Id")}</th><th scope="col">{t("Đơn vị", "Units")}</th><th scope="col">{t("Cao nhất", "Highest")}</th><th scope="col">{t("Loại tin", "Kinds")}</th><th><span class="sr-only">{t("Việc", "Do")}</span></th></tr></thead>
          <tbody>
            {(answer?.agencies ?? []).map((agency) => (
              <tr key={agency.id}>
                <th scope="row">{agency.name}{agency.operator && <small> · {t("trực vận hành", "operators")}</small>}</th>
                <td class="mono">{agency.id}</td>
                <td data-label={t("đơn vị", "units")}>{agency.jurisdiction.units?.length ?? t("tất cả", "all")}</td>
                <td>{severityWords(agency.jurisdiction.highest_severity)}</td>
                <td class="wide">{agency.jurisdiction.kinds.map(kindWords).join(", ")}</td>
                <td class="nowrap">
                  <button type="button" class="quiet" aria-label={t(`Sửa ${agency.name}`, `Edit ${agency.name}`)} onClick={() => setEditing(agency)}>{t("Sửa", "Edit")}</button>
                  <button type="button" class="quiet" aria-label={t(`Khóa API của ${agency.name}`, `API keys of ${agency.name}`)} onClick={() => setKeys(agency)}>{t("Khóa API", "API keys")}</button>
                  <button type="button" class="quiet" aria-label={t(`Chứng thư số của ${agency.name}`, `Certificates of ${agency.name}`)} onClick={() => setCertificates(agency)}>{t("Chứng thư", "Certificates")}</button>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {editing && <AgencyForm agency={editing} close={() => { setEditing(null); load(); }} />}
      {keys && <Keys agency={keys} close={() => setKeys(null)} />}
      {certificates && <Certificates agency={certificates} close={() => setCertificates(null)} />}
    </section>
  );
}

function kindWords(kind: string): string {
  const found = KINDS.find(([one]) => one === kind);
  return found ? t(found[1], found[2]) : kind;
}

function AgencyForm({ agency, close }: { agency: Agency; close: () => void }) {
  const [now, set] = useState(agency);
  const [codes, setCodes] = useState(agency.jurisdiction.units?.join(" ") ?? "");
  const { jurisdiction } = now;
  const save = () => attempt(async () => {
    const { units: _, ...rest } = jurisdiction;
    const units = codesIn(codes);
    const body = { name: now.name, operator: now.operator, signature_required: now.signature_required ?? false, jurisdiction: { ...rest, ...(units.length > 0 ? { units } : {}) } };
    const answer = await put<{ request?: string } | undefined>(`/agencies/${encodeURIComponent(now.id)}`, body);
    say(answer?.request ? t("Chờ quản trị viên thứ hai xác nhận.", "A second admin must confirm.") : t("Đã lưu.", "Saved."));
    close();
  });
  const kind = (one: string) =>
    set({ ...now, jurisdiction: { ...jurisdiction, kinds: jurisdiction.kinds.includes(one) ? jurisdiction.kinds.filter((k) => k !== one) : [...jurisdiction.kinds, one] } });
  return (
    <Dialog title={agency.id === "" ? t("Thêm cơ quan", "Add an agency") : agency.name} onClose={close}>
      <label class="field"><span>{t("Mã", "Id")}</span><input value={now.id} disabled={agency.id !== ""} onInput={(event) => set({ ...now, id: event.currentTarget.value })} /></label>
      <label class="field"><span>{t("Tên", "Name")}</span><input value={now.name} onInput={(event) => set({ ...now, name: event.currentTarget.value })} /></label>
      <label class="field"><span>{t("Mã các đơn vị (để trống: cả thành phố)", "Codes of its units (empty: the whole city)")}</span><textarea rows={3} value={codes} onInput={(event) => setCodes(event.currentTarget.value)} /></label>
      <label class="field">
        <span>{t("Mức nghiêm trọng cao nhất", "Highest severity")}</span>
        <select value={jurisdiction.highest_severity} onChange={(event) => set({ ...now, jurisdiction: { ...jurisdiction, highest_severity: event.currentTarget.value as Severity } })}>
          {["Extreme", "Severe", "Moderate", "Minor"].map((one) => <option key={one} value={one}>{severityWords(one as Severity)}</option>)}
        </select>
      </label>
      <fieldset class="checks">
        <legend>{t("Được phát", "May publish")}</legend>
        {KINDS.map(([one]) => <label key={one}><input type="checkbox" checked={jurisdiction.kinds.includes(one)} onChange={() => kind(one)} />{kindWords(one)}</label>)}
      </fieldset>
      <label class="check"><input type="checkbox" checked={now.signature_required ?? false} onChange={(event) => set({ ...now, signature_required: event.currentTarget.checked })} />{t("Phần mềm của cơ quan phải gửi CAP XML có chữ ký số", "Its programs must send signed CAP XML")}</label>
      <div class="row end"><button type="button" onClick={close}>{t("Thôi", "Cancel")}</button><button type="button" class="primary" disabled={now.id === "" || now.name === ""} onClick={() => void save()}>{t("Lưu", "Save")}</button></div>
    </Dialog>
  );
}

function Keys({ agency, close }: { agency: Agency; close: () => void }) {
  const path = `/agencies/${encodeURIComponent(agency.id)}/keys`;
  const [answer, load] = useList<{ keys: Key[] }>(path);
  const [name, setName] = useState("");
  const [certificate, setCertificate] = useState("");
  const [made, setMade] = useState<string | null>(null);
  const make = () => attempt(async () => {
    const { key, request } = await post<{ key?: string; request?: string }>(path, { name, certificate: certificate.trim() || undefined });
    setMade(key ?? null);
    if (request && !key) say(t("Chờ quản trị viên thứ hai xác nhận.", "A second admin must confirm."));
    setName("");
    setCertificate("");
    load();
  });
  const drop = (one: string) => attempt(async () => {
    await remove(`${path}/${encodeURIComponent(one)}`);
    load();
  });
  return (
    <Dialog title={t(`Khóa API của ${agency.name}`, `API keys of ${agency.name}`)} onClose={close}>
      <ul class="plain-list">
        {(answer?.keys ?? []).filter((key) => !key.revoked_at).map((key) => (
          <li class="row" key={key.name}>
            <b class="grow mono">{key.name}</b><small>{t("tạo", "made")} {dateTime(key.created_at)}{key.last_used_at && ` · ${t("dùng", "used")} ${dateTime(key.last_used_at)}`}{key.certificate && ` · ${t("cần chứng thư", "needs certificate")} ${key.certificate.slice(0, 8)}…`}</small>
            <button type="button" class="quiet" aria-label={t(`Thu hồi khóa ${key.name}`, `Revoke ${key.name}`)} onClick={() => void drop(key.name)}>{t("Thu hồi", "Revoke")}</button>
          </li>
        ))}
      </ul>
      {made && <p class="note warn" role="status">{t("Chép ngay, chỉ hiện một lần:", "Copy it now, it is shown once:")} <code class="mono">{made}</code></p>}
      <label class="field"><span>{t("SHA-256 của chứng thư máy khách, nếu khóa cần", "SHA-256 of a client certificate, if the key needs one")}</span><input class="mono" name="certificate" autocomplete="off" value={certificate} onInput={(event) => setCertificate(event.currentTarget.value)} /></label>
      <div class="row"><label class="field grow"><span>{t("Tên khóa mới", "Name of a new key")}</span><input value={name} onInput={(event) => setName(event.currentTarget.value)} /></label><button type="button" disabled={name.trim() === ""} onClick={() => void make()}>{t("Tạo khóa", "Make a key")}</button></div>
      <div class="row end"><button type="button" onClick={close}>{t("Đóng", "Close")}</button></div>
    </Dialog>
  );
}
