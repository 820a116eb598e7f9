// Dead letters: what could not be read from the log, why, and the way to send it again.
import { dateTime, number } from "../../shared/format";
import { t } from "../../shared/language";
import { post } from "../api";
import { attempt, say } from "../state";
import type { Letter } from "../types";
import { useList } from "./useList";

export function Letters() {
  const [answer, load] = useList<{ letters: Letter[] }>("/dead-letters?partition=0&from=0");
  const redrive = ({ partition, offset }: Letter) => attempt(async () => {
    await post(`/dead-letters/${partition ?? 0}/${offset}/redrive`);
    say(t("Đã gửi lại.", "Sent again."));
    load();
  });
  return (
    <section class="panel">
      <h2>{t("Thư hỏng", "Dead letters")}</h2>
      {answer?.letters.length === 0 && <p class="note good">{t("Không có thư hỏng nào.", "There are none.")}</p>}
      <ul class="cards">
        {(answer?.letters ?? []).map((letter) => (
          <li key={`${letter.partition} ${letter.offset}`} class="card row wrap">
            <span class="grow">
              <b class="mono">{letter.code}</b> {letter.detail}<br />
              <small>{letter.source}{letter.field && ` · ${letter.field}`} · {dateTime(letter.at)} · {number(letter.size)} bytes · {t(`${letter.tries} lần`, `${letter.tries} tries`)}</small>
            </span>
            <button type="button" onClick={() => void redrive(letter)}>{t("Gửi lại", "Send again")}</button>
          </li>
        ))}
      </ul>
    </section>
  );
}
