// People: who may write, approve, override, operate, administer.
import { useState } from "preact/hooks";
import { t } from "../../shared/language";
import { put } from "../api";
import { agencyName, attempt, say } from "../state";
import type { Agency, Person, Right } from "../types";
import { Dialog } from "../ui/Dialog";
import { useList } from "./useList";

const RIGHTS: readonly [Right, string, string][] = [
  ["write", "soạn và trình", "write and submit"], ["approve", "duyệt của người khác", "approve others' drafts"],
  ["override", "phát khẩn", "emergency override"], ["operate", "trực hệ thống", "operate the system"],
  ["admin", "quản trị", "administer"],
];
const PASSWORD_MIN = 12;

export function rightWords(right: Right): string {
  const found = RIGHTS.find(([one]) => one === right);
  return found ? t(found[1], found[2]) : right;
}

export function People() {
  const [answer, load] = useList<{ people: Person[] }>("/people");
  const [editing, setEditing] = useState<Person | null>(null);
  const fresh: Person = { id: "", name: "", agency: "", rights: ["write"], active: true };
  return (
    <section class="panel">
      <div class="row wrap"><h2 class="grow">{t("Người", "People")}</h2><button type="button" class="primary" onClick={() => setEditing(fresh)}>{t("Thêm người", "Add a person")}</button></div>
      <div class="scroll-x" tabIndex={0} role="region" aria-label={t("Người", "People")}>
        <table class="plain as-cards">
          <thead><tr><th scope="col">{t("Tên", "Name")}</th><th scope="col">{t("Tên đăng nhập", "Login")}</th><th scope="col">{t("Cơ quan", "Agency")}</th><th scope="col">{t("Quyền", "Rights")}</th><th scope="col">{t("Tình trạng", "State")}</th><th><span class="sr-only">{t("Sửa", "Edit")}</span></th></tr></thead>
          <tbody>
            {(answer?.people ?? []).map((person) => (
              <tr key={person.id}>
                <th scope="row">{person.name}</th><td class="mono">{person.id}</td><td>{agencyName(person.agency)}</td>
                <td class="wide">{person.rights.map(rightWords).join(", ")}</td>
                <td>{person.active === false ? t("đã khóa", "locked") : t("đang dùng", "active")}</td>
                <td><button type="button" class="quiet" onClick={() => setEditing(person)} aria-label={t(`Sửa ${person.name}`, `Edit ${person.name}`)}>{t("Sửa", "Edit")}</button></td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {editing && <PersonForm person={editing} close={() => { setEditing(null); load(); }} />}
    </section>
  );
}

function PersonForm({ person, close }: { person: Person; close: () => void }) {
  const [now, set] = useState(person);
  const [password, setPassword] = useState("");
  const [agencies] = useList<{ agencies: Agency[] }>("/agencies");
  const fresh = person.id === "";
  const save = () => attempt(async () => {
    const { id, ...body } = now;
    const answer = await put<{ request?: string } | undefined>(`/people/${encodeURIComponent(id)}`, { ...body, ...(password ? { password } : {}) });
    say(answer?.request ? t("Chờ quản trị viên thứ hai xác nhận.", "A second admin must confirm.") : t("Đã lưu.", "Saved."));
    close();
  });
  const toggle = (right: Right) =>
    set({ ...now, rights: now.rights.includes(right) ? now.rights.filter((one) => one !== right) : [...now.rights, right] });
  return (
    <Dialog title={fresh ? t("Thêm người", "Add a person") : now.name} onClose={close}>
      <label class="field"><span>{t("Tên đăng nhập", "Login")}</span><input value={now.id} disabled={!fresh} autocomplete="off" onInput={(event) => set({ ...now, id: event.currentTarget.value })} /></label>
      <label class="field"><span>{t("Họ tên", "Name")}</span><input value={now.name} autocomplete="off" onInput={(event) => set({ ...now, name: event.currentTarget.value })} /></label>
      <label class="field">
        <span>{t("Cơ quan", "Agency")}</span>
        <select value={now.agency} onChange={(event) => set({ ...now, agency: event.currentTarget.value })}>
          <option value="" />{(agencies?.agencies ?? []).map((agency) => <option key={agency.id} value={agency.id}>{agency.name}</option>)}
        </select>
      </label>
      <fieldset class="checks">
        <legend>{t("Quyền", "Rights")}</legend>
        {RIGHTS.map(([right]) => <label key={right}><input type="checkbox" checked={now.rights.includes(right)} onChange={() => toggle(right)} />{rightWords(right)}</label>)}
      </fieldset>
      <label class="field">
        <span>{fresh ? t("Mật khẩu", "Password") : t("Mật khẩu mới (để trống: giữ nguyên)", "New password (empty: unchanged)")}</span>
        <input type="password" autocomplete="new-password" minLength={PASSWORD_MIN} value={password} onInput={(event) => setPassword(event.currentTarget.value)} />
      </label>
      <label class="check"><input type="checkbox" checked={now.active !== false} onChange={() => set({ ...now, active: now.active === false })} />{t("Được đăng nhập", "May log in")}</label>
      <div class="row end"><button type="button" onClick={close}>{t("Thôi", "Cancel")}</button><button type="button" class="primary" disabled={now.id === "" || now.name === "" || now.agency === ""} onClick={() => void save()}>{t("Lưu", "Save")}</button></div>
    </Dialog>
  );
}
