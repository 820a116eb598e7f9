// The audit trail: who did what, when, in a chain of hashes that the node checks.
import { useEffect, useState } from "preact/hooks";
import { dateTime } from "../../shared/format";
import { t } from "../../shared/language";
import { get } from "../api";
import { actorWords, attempt } from "../state";
import type { AuditEntry } from "../types";
import { actWords } from "../ui/acts";

const PAGE = 100;
const VERDICTS: Record<string, [string, string]> = {
  done: ["xong", "done"], alone: ["một mình", "alone"], refused: ["bị từ chối", "refused"],
};

interface Answer { entries: AuditEntry[]; verified: boolean; findings?: string[] }

export function Audit() {
  const [answer, setAnswer] = useState<Answer | null>(null);
  const [actor, setActor] = useState("");
  const [object, setObject] = useState("");
  const [more, setMore] = useState(false);
  const load = (before?: number) => attempt(async () => {
    const query = new URLSearchParams({ limit: String(PAGE) });
    if (actor) query.set("actor", actor);
    if (object) query.set("object", object);
    if (before) query.set("before", String(before));
    const next = await get<Answer>(`/audit?${query}`);
    setAnswer((now) => (before && now ? { ...next, entries: [...now.entries, ...next.entries] } : next));
    setMore(next.entries.length === PAGE);
  });
  useEffect(() => {
    const timer = setTimeout(() => void load(), 250);
    return () => clearTimeout(timer);
  }, [actor, object]);
  return (
    <div class="panel">
      {answer && (
        <p class={answer.verified ? "note good" : "note bad"} role="status">
          {answer.verified
            ? t("Chuỗi nhật ký nguyên vẹn: mọi dòng khớp với dòng trước.", "The trail is whole: each entry fits the one before.")
            : `${t("CHUỖI NHẬT KÝ BỊ ĐỨT HOẶC BỊ SỬA.", "THE TRAIL IS BROKEN OR WAS CHANGED.")} ${(answer.findings ?? []).join("; ")}`}
        </p>
      )}
      <form class="filters" role="search" onSubmit={(event) => event.preventDefault()}>
        <label class="field"><span>{t("Người", "Who")}</span><input type="search" value={actor} onInput={(event) => setActor(event.currentTarget.value)} /></label>
        <label class="field grow"><span>{t("Đối tượng", "Object")}</span><input type="search" value={object} onInput={(event) => setObject(event.currentTarget.value)} /></label>
      </form>
      <div class="scroll-x" tabIndex={0} role="region" aria-label={t("Nhật ký", "Audit trail")}>
        <table class="plain as-cards">
          <thead>
            <tr>
              <th scope="col" class="num">#</th><th scope="col">{t("Lúc", "When")}</th><th scope="col">{t("Ai", "Who")}</th>
              <th scope="col">{t("Việc", "Act")}</th><th scope="col">{t("Đối tượng", "Object")}</th>
              <th scope="col">{t("Kết quả", "Verdict")}</th><th scope="col">{t("Dấu", "Hash")}</th>
            </tr>
          </thead>
          <tbody>
            {(answer?.entries ?? []).map((entry) => (
              <tr key={entry.seq}>
                <td class="num">{entry.seq}</td><td class="nowrap">{dateTime(entry.at)}</td><td>{actorWords(entry.actor)}</td>
                <td title={entry.act}>{actWords(entry.act)}</td><td class="mono wide">{entry.object}</td><td>{VERDICTS[entry.verdict] ? t(...VERDICTS[entry.verdict]!) : entry.verdict}{entry.reason && <small> – {entry.reason}</small>}</td>
                <td class="mono" data-label={t("dấu", "hash")} title={entry.hash}>{entry.hash?.slice(0, 10)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {answer?.entries.length === 0 && <p class="hint centre">{t("Chưa có dòng nào.", "No entries yet.")}</p>}
      {more && <button type="button" onClick={() => void load(answer!.entries[answer!.entries.length - 1]!.seq)}>{t("Cũ hơn", "Older")}</button>}
    </div>
  );
}
