// Dead letters: what could not be read from the log, why, and the way to send it again.
import { useEffect, useState } from "preact/hooks";
import { dateTime, number } from "../../shared/format";
import { t } from "../../shared/language";
import { get, post } from "../api";
import { attempt, say } from "../state";
import type { Letter } from "../types";

interface Answer { letters: Letter[]; partitions: number; next?: number }

export function Letters() {
  const [letters, setLetters] = useState<Letter[] | null>(null);
  const load = () => void attempt(async () => {
    const first = await get<Answer>("/dead-letters?partition=0&from=0");
    const rest = Array.from({ length: first.partitions - 1 }, (_, i) => get<Answer>(`/dead-letters?partition=${i + 1}&from=0`));
    const all = [first, ...(await Promise.all(rest))].flatMap((answer) => answer.letters);
    setLetters(all.sort((a, b) => b.at.localeCompare(a.at)));
  });
  useEffect(load, []);
  const redrive = ({ partition, offset }: Letter) => attempt(async () => {
    await post(`/dead-letters/${partition}/${offset}/redrive`);
    say(t("Đã gửi lại.", "Sent again."));
    load();
  });
  return (
    <section class="panel">
      <h2>{t("Thư hỏng", "Dead letters")}</h2>
      {letters?.length === 0 && <p class="note good">{t("Không có thư hỏng nào.", "There are none.")}</p>}
      <ul class="cards">
        {(letters ?? []).map((letter) => (
          <li key={`${letter.partition} ${letter.offset}`} class="card row wrap">
            <span class="grow">
              <b class="mono">{letter.code}</b> {letter.detail}<br />
              <small>{letter.source}{letter.field && ` · ${letter.field}`} · {dateTime(letter.at)} · {number(letter.payload_bytes)} bytes · {t(`${letter.tries} lần`, `${letter.tries} tries`)}</small>
            </span>
            <button type="button" onClick={() => void redrive(letter)}>{t("Gửi lại", "Send again")}</button>
          </li>
        ))}
      </ul>
    </section>
  );
}
