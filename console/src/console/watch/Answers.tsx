// What people answered: safe or in need, unit by unit; and the tallies of a survey.
import { useEffect, useState } from "preact/hooks";
import { number, percent, time } from "../../shared/format";
import { pick, t } from "../../shared/language";
import { outside } from "../api";
import { unitName } from "../state";
import type { Detail, Said, Survey } from "../types";

const NOTES_MAX = 20;
const sum = (counts: Record<string, number>) => Object.values(counts).reduce((a, b) => a + b, 0);

/** What people in need wrote, the newest first. */
function Notes({ id, count }: { id: string; count: number }) {
  const [notes, setNotes] = useState<Said[]>([]);
  useEffect(() => {
    outside<{ texts: Said[] }>(`/v1/publications/${id}/answers`)
      .then(({ texts }) => setNotes(texts.filter(({ question }) => question === "help")))
      .catch(() => undefined);
  }, [id, count]);
  if (notes.length === 0) return null;
  return (
    <ul class="notes" aria-label={t("Lời nhắn cần giúp", "Words of those in need")}>
      {notes.slice(0, NOTES_MAX).map((note) => (
        <li key={note.at + note.text}><b>{note.unit ? unitName(note.unit) : "–"}</b> <small>{time(note.at)}</small><br />{note.text}</li>
      ))}
    </ul>
  );
}

export function Answers({ detail }: { detail: Detail }) {
  const { answers, survey } = detail;
  const any = answers && sum(answers.safe) + sum(answers.help) > 0;
  if (!any && !survey) return null;
  return (
    <>
      {any && (
        <section class="panel" aria-labelledby="w-answers">
          <h3 id="w-answers">{t("Người dân trả lời", "People's answers")}</h3>
          <dl class="figures">
            <div><dt>{t("Cần giúp", "Need help")}</dt><dd class="bad-words" data-test="help">{number(sum(answers.help))}</dd></div>
            <div><dt>{t("An toàn", "Safe")}</dt><dd class="good-words" data-test="safe">{number(sum(answers.safe))}</dd></div>
          </dl>
          <Notes id={detail.publication.id} count={sum(answers.help)} />
          <table class="plain">
            <thead><tr><th scope="col">{t("Đơn vị", "Unit")}</th><th scope="col" class="num">{t("Cần giúp", "Help")}</th><th scope="col" class="num">{t("An toàn", "Safe")}</th></tr></thead>
            <tbody>
              {[...new Set([...Object.keys(answers.help), ...Object.keys(answers.safe)])]
                .sort((a, b) => (answers.help[b] ?? 0) - (answers.help[a] ?? 0))
                .map((code) => (
                  <tr key={code}>
                    <th scope="row">{unitName(code)}</th>
                    <td class="num bad-words">{number(answers.help[code] ?? 0)}</td><td class="num">{number(answers.safe[code] ?? 0)}</td>
                  </tr>
                ))}
            </tbody>
          </table>
        </section>
      )}
      {survey && <SurveyResults id={detail.publication.id} survey={survey} />}
    </>
  );
}

interface UnitCount { question: string; value: string; unit?: string; count: number }

function SurveyResults({ id, survey }: { id: string; survey: Survey }) {
  const [counts, setCounts] = useState<UnitCount[]>([]);
  useEffect(() => {
    outside<{ by_unit: UnitCount[] }>(`/v1/publications/${id}/answers`).then(({ by_unit }) => setCounts(by_unit)).catch(() => undefined);
  }, [id, survey]);
  return (
    <section class="panel" aria-labelledby="w-survey">
      <h3 id="w-survey">{t("Khảo sát", "Survey")} {survey.answered !== undefined && <span class="badge">{number(survey.answered)}</span>}</h3>
      {survey.questions.map((question) => {
        const tally = question.tally ?? {};
        const total = sum(tally);
        return (
          <div key={question.id}>
            <h4>{pick({ vi: question.texts.vi, en: question.texts.en ?? question.texts.vi })}</h4>
            <ul class="tally">
              {Object.entries(tally).map(([value, count]) => (
                <li key={value}>
                  <span>{nameOf(question, value)}</span>
                  <span class="bar"><span class="fill received" style={{ width: `${total === 0 ? 0 : (100 * count) / total}%` }} /></span>
                  <b>{number(count)}</b><small>{percent(count, total)}</small>
                </li>
              ))}
            </ul>
            <ByUnit options={Object.keys(tally).map((value) => ({ value, name: nameOf(question, value) }))} counts={counts.filter((one) => one.question === question.id)} />
            {question.mean !== undefined && <p>{t("Trung bình", "Mean")}: {number(Math.round(question.mean * 10) / 10)}</p>}
            {question.answers && <ul>{question.answers.map((words, i) => <li key={i}>{words}</li>)}</ul>}
          </div>
        );
      })}
      <p><a href={`/v1/publications/${id}/answers.csv`} download>{t("Tải CSV", "Download CSV")}</a></p>
    </section>
  );
}

function nameOf(question: Survey["questions"][number], value: string): string {
  const option = question.options?.find(({ id }) => id === value);
  return option ? (pick({ vi: option.texts.vi, en: option.texts.en ?? option.texts.vi }) ?? value) : value;
}

function ByUnit({ options, counts }: { options: { value: string; name: string }[]; counts: UnitCount[] }) {
  const units = [...new Set(counts.map(({ unit }) => unit ?? ""))].sort();
  if (units.length === 0) return null;
  const of = (unit: string, value: string) => counts.find((one) => (one.unit ?? "") === unit && one.value === value)?.count ?? 0;
  return (
    <details>
      <summary>{t("Theo đơn vị", "By unit")} ({number(units.length)})</summary>
      <div class="scroll-x" tabIndex={0} role="region" aria-label={t("Bảng theo đơn vị", "Table by unit")}>
        <table class="plain">
          <thead><tr><th scope="col">{t("Đơn vị", "Unit")}</th>{options.map(({ value, name }) => <th scope="col" class="num" key={value}>{name}</th>)}</tr></thead>
          <tbody>
            {units.map((unit) => (
              <tr key={unit}>
                <th scope="row">{unit === "" ? t("không rõ", "unknown") : unitName(unit)}</th>
                {options.map(({ value }) => <td class="num" key={value}>{number(of(unit, value))}</td>)}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}
