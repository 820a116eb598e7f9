// The questions of a survey: one answer, several, a scale, or words.
import { t } from "../../shared/language";
import type { Question } from "../types";

const QUESTIONS_MAX = 20;
const KINDS: readonly [Question["kind"], string, string][] = [
  ["single", "Chọn một", "One answer"], ["multiple", "Chọn nhiều", "Several answers"],
  ["scale", "Thang điểm 1–5", "Scale 1–5"], ["text", "Viết tự do (không công khai)", "Free text (never public)"],
];

function fresh(number: number): Question {
  return {
    id: `q${number}`, kind: "single", texts: { vi: "", en: "" }, required: true,
    options: [option(1), option(2)],
  };
}

const option = (number: number) => ({ id: `a${number}`, texts: { vi: "", en: "" } });

export function QuestionsEditor({ questions, set }: { questions: Question[]; set: (next: Question[]) => void }) {
  const change = (index: number, part: Partial<Question>) =>
    set(questions.map((one, i) => (i === index ? { ...one, ...part } : one)));
  const nextNumber = Math.max(0, ...questions.map(({ id }) => Number(id.slice(1)))) + 1;
  return (
    <div class="questions">
      <h3>{t("Câu hỏi", "Questions")}</h3>
      {questions.map((question, index) => (
        <fieldset key={question.id} class="question">
          <legend>{t(`Câu ${index + 1}`, `Question ${index + 1}`)}</legend>
          <label class="field">
            <span>{t("Câu hỏi (tiếng Việt)", "Question (Vietnamese)")}</span>
            <input value={question.texts.vi} onInput={(event) => change(index, { texts: { ...question.texts, vi: event.currentTarget.value } })} />
          </label>
          <label class="field">
            <span>{t("Câu hỏi (tiếng Anh)", "Question (English)")}</span>
            <input value={question.texts.en} onInput={(event) => change(index, { texts: { ...question.texts, en: event.currentTarget.value } })} />
          </label>
          <div class="row wrap">
            <label class="field">
              <span>{t("Kiểu", "Kind")}</span>
              <select value={question.kind} onChange={(event) => change(index, ofKind(event.currentTarget.value as Question["kind"]))}>
                {KINDS.map(([kind, vi, en]) => <option key={kind} value={kind}>{t(vi, en)}</option>)}
              </select>
            </label>
            <label class="check">
              <input type="checkbox" checked={question.required ?? false} onChange={() => change(index, { required: !question.required })} />
              {t("Bắt buộc", "Required")}
            </label>
          </div>
          {question.options?.map((one, at) => (
            <div class="row" key={one.id}>
              {(["vi", "en"] as const).map((lang) => (
                <label class="field grow" key={lang}>
                  <span>{t(`Lựa chọn ${at + 1}`, `Option ${at + 1}`)} ({lang})</span>
                  <input
                    value={one.texts[lang]}
                    onInput={(event) => change(index, {
                      options: question.options!.map((other, i) =>
                        i === at ? { ...other, texts: { ...other.texts, [lang]: event.currentTarget.value } } : other),
                    })}
                  />
                </label>
              ))}
            </div>
          ))}
          <div class="row wrap">
            {question.options && (
              <button type="button" class="quiet" onClick={() => change(index, { options: [...question.options!, option(question.options!.length + 1)] })}>
                {t("+ Lựa chọn", "+ Option")}
              </button>
            )}
            <button type="button" class="quiet" onClick={() => set(questions.filter((_, i) => i !== index))}>{t("Bỏ câu này", "Remove question")}</button>
          </div>
        </fieldset>
      ))}
      <button type="button" disabled={questions.length >= QUESTIONS_MAX} onClick={() => set([...questions, fresh(nextNumber)])}>
        {t("+ Thêm câu hỏi", "+ Add a question")}
      </button>
    </div>
  );
}

/** Only what the kind needs goes to the node. */
function ofKind(kind: Question["kind"]): Partial<Question> {
  const none = { options: undefined, min: undefined, max: undefined } as unknown as Partial<Question>;
  if (kind === "scale") return { ...none, kind, min: 1, max: 5 };
  if (kind === "text") return { ...none, kind };
  return { ...none, kind, options: [option(1), option(2)] };
}

/** As the node wants it: a language without words is absent. */
export function written(questions: Question[]): Question[] {
  return questions.map((question) => ({
    ...question, texts: spoken(question.texts),
    ...(question.options ? { options: question.options.map((one) => ({ ...one, texts: spoken(one.texts) })) } : {}),
  }));
}

function spoken(texts: Question["texts"]): Question["texts"] {
  return Object.fromEntries(Object.entries(texts).filter(([, words]) => words.trim() !== ""));
}
