// Changes that widen somebody's power wait for a second admin.
import { useState } from "preact/hooks";
import { dateTime } from "../../shared/format";
import { t } from "../../shared/language";
import { post } from "../api";
import { actorWords, attempt, isMe, say } from "../state";
import type { AdminRequest } from "../types";
import { actWords } from "../ui/acts";
import { useList } from "./useList";

export function Requests() {
  const [answer, load] = useList<{ requests: AdminRequest[] }>("/requests");
  const [key, setKey] = useState<string | null>(null);
  const open = answer?.requests.filter(({ state }) => state === "waiting") ?? [];
  const decide = (id: string, act: "confirm" | "refuse") => attempt(async () => {
    const done = await post<{ key?: string } | undefined>(`/requests/${id}/${act}`);
    setKey(done?.key ?? null);
    say(act === "confirm" ? t("Đã xác nhận.", "Confirmed.") : t("Đã từ chối.", "Refused."));
    load();
  });
  return (
    <section class="panel">
      <h2>{t("Chờ quản trị viên thứ hai", "Waiting for a second admin")}</h2>
      {answer !== null && open.length === 0 && <p class="hint">{t("Không có gì chờ.", "Nothing is waiting.")}</p>}
      {key && <p class="note warn" role="status">{t("Chép ngay, chỉ hiện một lần:", "Copy it now, it is shown once:")} <code class="mono">{key}</code></p>}
      <ul class="cards">
        {open.map((request) => (
          <li key={request.id} class="card row wrap">
            <span class="grow"><b>{actWords(request.act)}</b> <span class="mono">{request.object}</span><br /><small>{actorWords(request.by)} · {dateTime(request.at)}</small></span>
            {isMe(request.by)
              ? <span class="hint">{t("bạn yêu cầu: người khác xác nhận", "yours: somebody else confirms")}</span>
              : <><button type="button" class="primary" onClick={() => void decide(request.id, "confirm")}>{t("Xác nhận", "Confirm")}</button><button type="button" onClick={() => void decide(request.id, "refuse")}>{t("Từ chối", "Refuse")}</button></>}
          </li>
        ))}
      </ul>
    </section>
  );
}
