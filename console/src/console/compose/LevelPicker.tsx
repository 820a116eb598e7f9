// How grave: the five national levels in plain words, and CAP's three scales beside them.
import { pick, t } from "../../shared/language";
import { CERTAINTIES, LEVELS, RESPONSES, URGENCIES, type Severity } from "../../shared/levels";
import { withLevel, withSeverity, type Composition } from "./composition";

const CATEGORIES: readonly [string, string, string][] = [
  ["Met", "Khí tượng, thủy văn", "Weather and water"], ["Geo", "Địa chất", "Geology"],
  ["Fire", "Cháy", "Fire"], ["Health", "Y tế", "Health"], ["Env", "Môi trường", "Environment"],
  ["Infra", "Hạ tầng", "Infrastructure"], ["Transport", "Giao thông", "Transport"],
  ["Safety", "An toàn", "Safety"], ["Security", "An ninh", "Security"],
  ["Rescue", "Cứu nạn", "Rescue"], ["CBRNE", "Hóa chất, phóng xạ", "Chemical, radiation"],
  ["Other", "Khác", "Other"],
];
const SEVERITIES: readonly { value: Severity; vi: string; en: string }[] = [
  { value: "Extreme", vi: "Đặc biệt nghiêm trọng", en: "Extreme: lives are threatened" },
  { value: "Severe", vi: "Nghiêm trọng", en: "Severe: dangerous" },
  { value: "Moderate", vi: "Vừa", en: "Moderate: damage possible" },
  { value: "Minor", vi: "Nhẹ", en: "Minor: little effect" },
  { value: "Unknown", vi: "Chưa rõ", en: "Unknown" },
];

interface Props { now: Composition; set: (next: Composition) => void; highest: Severity }

export function LevelPicker({ now, set, highest }: Props) {
  const order = SEVERITIES.map(({ value }) => value);
  const above = (severity: Severity) => order.indexOf(severity) < order.indexOf(highest);
  return (
    <>
      <fieldset class="levels">
        <legend>{t("Cấp độ rủi ro (QĐ 18/2021)", "Level of risk (Decision 18/2021)")}</legend>
        {LEVELS.map((level) => (
          <label key={level.number} class={`level-choice ${above(level.severity) ? "is-off" : ""}`}>
            <input
              type="radio" name="level" checked={now.level === level.number} disabled={above(level.severity)}
              onChange={() => set(withLevel(now, level.number))}
            />
            <span class={`level level-${level.number}`}>
              <b>{level.number}</b>{pick(level)}
            </span>
            <span class="level-plain">{pick(level.plain)}</span>
          </label>
        ))}
        {highest !== "Extreme" && (
          <p class="hint">{t("Cơ quan của bạn không được dùng các cấp bị mờ.", "Your agency may not use the greyed levels.")}</p>
        )}
      </fieldset>
      <details class="more">
        <summary>{t("Thang CAP và loại sự việc", "CAP's scales and the category")}</summary>
        <div class="grid-2">
          <Choice
            label={t("Mức nghiêm trọng", "Severity")} value={now.severity} options={SEVERITIES}
            onPick={(severity) => set(withSeverity(now, severity))}
          />
          <Choice label={t("Khẩn cấp: bao giờ phải làm?", "Urgency: when must people act?")} value={now.urgency} options={URGENCIES} onPick={(urgency) => set({ ...now, urgency })} />
          <Choice label={t("Chắc chắn đến đâu?", "Certainty: how sure is it?")} value={now.certainty} options={CERTAINTIES} onPick={(certainty) => set({ ...now, certainty })} />
          <Choice
            label={t("Loại", "Category")} value={now.category}
            options={CATEGORIES.map(([value, vi, en]) => ({ value, vi, en }))}
            onPick={(category) => set({ ...now, category })}
          />
        </div>
        <fieldset class="checks">
          <legend>{t("Người dân cần làm gì", "What people should do")}</legend>
          {RESPONSES.map((response) => (
            <label key={response.value}>
              <input
                type="checkbox" checked={now.responses.includes(response.value)}
                onChange={() => set({ ...now, responses: toggled(now.responses, response.value) })}
              />
              {pick(response)}
            </label>
          ))}
        </fieldset>
      </details>
    </>
  );
}

function toggled(all: string[], one: string): string[] {
  return all.includes(one) ? all.filter((other) => other !== one) : [...all, one];
}

function Choice<T extends string>(props: {
  label: string; value: T; options: readonly { value: T; vi: string; en: string }[];
  onPick: (value: T) => void;
}) {
  return (
    <label class="field">
      <span>{props.label}</span>
      <select value={props.value} onChange={(event) => props.onPick(event.currentTarget.value as T)}>
        {props.options.map((option) => (
          <option key={option.value} value={option.value}>{pick(option)}</option>
        ))}
      </select>
    </label>
  );
}
