// A survey's questions and one answer to each.
import { useState } from "preact/hooks";
import { keepSetting, language, readSetting, t } from "../shared/language";
import { ask } from "./device";
import type { Publication, Question } from "./types";

type Value = string | string[] | number;
type Values = Record<string, Value>;

const words = (texts: { vi?: string; en?: string }) =>
  (language.get() === "en" ? texts.en || texts.vi : texts.vi || texts.en) ?? "";

export function Survey({ publication }: { publication: Publication }) {
  const key = `loa.survey.${publication.id}`;
  const [values, setValues] = useState<Values>({});
  const [state, setState] = useState(readSetting(key) ?? "");
  const questions = publication.questions ?? [];
  const missing = questions.some(({ id, required }) => required && (values[id] === undefined || values[id]?.toString() === ""));
  const send = async (event: Event) => {
    event.preventDefault();
    try {
      await ask("POST", "/v1/answers", { publication: publication.id, survey: values });
      keepSetting(key, "done");
      setState("done");
    } catch (error) {
      setState(error instanceof Error ? error.message : "failed");
    }
  };
  if (state === "done") return <p class="done" role="status">✓ {t("Cảm ơn bạn đã trả lời.", "Thank you for your answers.")}</p>;
  return (
    <form class="survey" onSubmit={(event) => void send(event)}>
      {questions.map((question) => (
        <Field key={question.id} question={question} value={values[question.id]} set={(value) => setValues({ ...values, [question.id]: value })} />
      ))}
      <button type="submit" class="primary" disabled={missing}>{t("Gửi trả lời", "Send answers")}</button>
      <p role="status" class="bad">{state}</p>
    </form>
  );
}

function Field({ question, value, set }: { question: Question; value: Value | undefined; set: (value: Value) => void }) {
  const { id, kind } = question;
  const many = kind === "multiple";
  const chosen = Array.isArray(value) ? value : [];
  if (kind === "text") {
    return <label class="question">{words(question.texts)}<textarea rows={3} maxLength={2000} value={String(value ?? "")} onInput={(event) => set(event.currentTarget.value)} /></label>;
  }
  const steps = kind === "scale" ? Array.from({ length: (question.max ?? 5) - (question.min ?? 1) + 1 }, (_, i) => (question.min ?? 1) + i) : [];
  return (
    <fieldset class="question">
      <legend>{words(question.texts)}{question.required && <span aria-hidden="true"> *</span>}</legend>
      {steps.length > 0 && (
        <div class="steps">
          {steps.map((step) => (
            <label key={step}><input type="radio" name={id} checked={value === step} onChange={() => set(step)} /> {step}</label>
          ))}
        </div>
      )}
      {question.options?.map((option) => (
        <label key={option.id}>
          <input
            type={many ? "checkbox" : "radio"} name={id} checked={many ? chosen.includes(option.id) : value === option.id}
            onChange={() => set(many ? (chosen.includes(option.id) ? chosen.filter((one) => one !== option.id) : [...chosen, option.id]) : option.id)}
          />{" "}
          {words(option.texts)}
        </label>
      ))}
    </fieldset>
  );
}
