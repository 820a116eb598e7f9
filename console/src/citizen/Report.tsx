// A 1022 report that was made without a login, followed with its number and secret code. Both are
// kept in this browser only if the citizen asks for it.
import { useEffect, useState } from "preact/hooks";
import { dateTime } from "../shared/format";
import { keepSetting, pick, readSetting, t } from "../shared/language";
import { ask, Refused } from "./device";

const KEY = "loa.report";
const KIND = "report-1022";
/** As the node takes them; blanks and hyphens make no difference. */
const CODE = /^[a-z0-9]{12,64}$/i;

interface Words { vi: string; en: string }
interface Step { step: number; title: Words; terminal: boolean; changed_at: string; remark?: string }
interface Found { name: Words; reference: string; steps: Step[] }
interface Kept { reference: string; code: string }

function kept(): Kept | null {
  try {
    return JSON.parse(readSetting(KEY) ?? "null") as Kept | null;
  } catch {
    return null;
  }
}

const why = (error: unknown): string => {
  switch (error instanceof Refused ? error.status : 0) {
    case 401: return t("Mã gồm 12 đến 64 chữ cái và chữ số.", "A code has 12 to 64 letters and digits.");
    case 404: return t("Không có phản ánh nào với số và mã này. Kiểm tra lại cả hai.", "No report has this number and this code. Check both.");
    case 429: return t("Đã thử quá nhiều lần. Hãy chờ một phút rồi thử lại.", "Too many tries. Wait a minute and try again.");
    default: return t("Không tải được. Kiểm tra kết nối.", "Cannot be loaded. Check the connection.");
  }
};

export default function Report() {
  const [given, setGiven] = useState<Kept>(kept() ?? { reference: "", code: "" });
  const [remember, setRemember] = useState(kept() !== null);
  const [found, setFound] = useState<Found | null>(null);
  const [error, setError] = useState("");
  const look = async () => {
    const [reference, code] = [given.reference.trim(), given.code.replace(/[\s-]/g, "")];
    setFound(null);
    if (!CODE.test(code)) return setError(why(new Refused(401, "")));
    setError("");
    try {
      const path = `/v1/reports/${KIND}/${encodeURIComponent(reference)}`;
      setFound(await ask<Found>("GET", path, undefined, { Authorization: `Loa-Report ${code}` }));
      keepSetting(KEY, JSON.stringify(remember ? { reference, code } : null));
    } catch (failed) {
      setError(why(failed));
    }
  };
  useEffect(() => {
    if (kept() !== null) void look();
  }, []);
  const forget = () => {
    keepSetting(KEY, "null");
    setGiven({ reference: "", code: "" });
    setRemember(false);
    setFound(null);
  };
  return (
    <>
      <form class="report-form" onSubmit={(event) => { event.preventDefault(); void look(); }}>
        <label>
          {t("Số phản ánh", "Report's number")}
          <input name="reference" required maxLength={64} autocomplete="off" value={given.reference} onInput={(event) => setGiven({ ...given, reference: event.currentTarget.value })} />
        </label>
        <label>
          {t("Mã bí mật", "Secret code")}
          <input name="code" required maxLength={128} autocomplete="off" autocapitalize="characters" spellcheck={false} value={given.code} onInput={(event) => setGiven({ ...given, code: event.currentTarget.value })} />
        </label>
        <label class="choice">
          <input type="checkbox" checked={remember} onChange={() => setRemember(!remember)} />
          {t("Ghi nhớ trên máy này", "Remember on this device")}
        </label>
        <p class="buttons">
          <button type="submit" class="primary">{t("Xem kết quả", "See what became of it")}</button>
          {kept() !== null && <button type="button" onClick={forget}>{t("Quên mã", "Forget the code")}</button>}
        </p>
      </form>
      <p role="status" class="bad">{error}</p>
      {found && (
        <section class="letter" aria-live="polite">
          <h3>{pick(found.name)} {found.reference}</h3>
          <ol class="steps-list">
            {found.steps.map((step, i) => (
              <li key={step.step} class={i === 0 ? "is-newest" : ""}>
                <strong>{step.terminal && "✓ "}{pick(step.title)}</strong> <span class="meta">{dateTime(step.changed_at)}</span>
                {step.remark && <p>{step.remark}</p>}
              </li>
            ))}
          </ol>
        </section>
      )}
    </>
  );
}
