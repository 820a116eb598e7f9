// News and surveys: the routine lane, no second person, up to thirty days.
import { useMemo, useState } from "preact/hooks";
import { t } from "../../shared/language";
import { useStore } from "../../shared/store";
import { closed } from "../../shared/geo";
import { post } from "../api";
import type { Drawn } from "../map/drawing";
import { go } from "../router";
import { attempt, say, session, units } from "../state";
import type { Draft, Lang, NewDraft, NoticeBody, Question } from "../types";
import { Confirm } from "../ui/Confirm";
import { AreaEditor } from "./AreaEditor";
import { Audience } from "./Audience";
import { empty, hasArea, inMinutes, type Composition } from "./composition";
import { Findings, isClean } from "./Findings";
import { Phones } from "./Phones";
import { QuestionsEditor, written } from "./QuestionsEditor";
import { usePreview } from "./usePreview";

const TITLE_MAX = 160;
const BODY_MAX = 4000;
const DAYS = [1, 3, 7, 14, 30];
const MINUTES_A_DAY = 1440;

interface Words { title: string; body: string }

export function NoticeEditor() {
  const city = useStore(units);
  const now = useStore(session)!;
  const [area, setArea] = useState<Composition>(() => empty());
  const [sketch, setSketch] = useState<Drawn | null>(null);
  const [kind, setKind] = useState<"news" | "survey">("news");
  const [texts, setTexts] = useState<Record<Lang, Words>>({ vi: { title: "", body: "" }, en: { title: "", body: "" } });
  const [questions, setQuestions] = useState<Question[]>([]);
  const [days, setDays] = useState(3);
  const [web, setWeb] = useState("");
  const [asking, setAsking] = useState(false);
  // The hour is fixed when the days are chosen, or each rendering would be another draft.
  const expires = useMemo(() => inMinutes(days * MINUTES_A_DAY - 5), [days]);

  const body: NoticeBody = {
    kind, expires: expires.toISOString(), ...(web ? { web } : {}),
    texts: { vi: texts.vi, ...(texts.en.title ? { en: texts.en } : {}) },
    ...(kind === "survey" ? { questions: written(questions) } : {}),
    ...(hasArea(area) || sketch ? { target: targetOf(area, sketch) } : {}),
  };
  const draft: NewDraft = { kind: "notice", body };
  const { preview, busy, error } = usePreview(texts.vi.title.trim() === "" ? null : draft);
  if (city === null) return <p class="loading">{t("Đang tải bản đồ…", "Loading the map…")}</p>;

  const publish = async () => {
    await attempt(async () => {
      const saved = await post<Draft>("/drafts", draft);
      const done = await post<Draft>(`/drafts/${saved.id}/publish`, { version: saved.version });
      setAsking(false);
      say(t("Đã phát.", "Published."));
      go(`watch/${done.publication}`);
    });
  };
  const ready = isClean(preview) && !busy && (kind === "news" || questions.length > 0);
  return (
    <div class="compose">
      <section class="panel what" aria-labelledby="n-what">
        <h2 id="n-what"><span class="step">1</span>{t("Nội dung", "Words")}</h2>
        <div class="row">
          {(["news", "survey"] as const).map((one) => (
            <label class="check" key={one}>
              <input type="radio" name="notice-kind" checked={kind === one} onChange={() => setKind(one)} />
              {one === "news" ? t("Tin tức", "News") : t("Khảo sát", "Survey")}
            </label>
          ))}
        </div>
        {(["vi", "en"] as const).map((lang) => (
          <fieldset key={lang} lang={lang}>
            <legend>{lang === "vi" ? "Tiếng Việt" : "English"}</legend>
            <label class="field">
              <span>{t("Tiêu đề", "Title")}</span>
              <input name={`title-${lang}`} maxLength={TITLE_MAX} value={texts[lang].title} onInput={(event) => setTexts({ ...texts, [lang]: { ...texts[lang], title: event.currentTarget.value } })} />
            </label>
            <label class="field">
              <span>{t("Nội dung", "Text")}</span>
              <textarea name={`body-${lang}`} rows={4} maxLength={BODY_MAX} value={texts[lang].body} onInput={(event) => setTexts({ ...texts, [lang]: { ...texts[lang], body: event.currentTarget.value } })} />
            </label>
          </fieldset>
        ))}
        <label class="field">
          <span>{t("Liên kết (https)", "Link (https)")}</span>
          <input type="url" value={web} onInput={(event) => setWeb(event.currentTarget.value)} />
        </label>
        <fieldset>
          <legend>{t("Còn hiệu lực", "Stays for")}</legend>
          <div class="row wrap">
            {DAYS.map((one) => (
              <button type="button" class="pill" key={one} aria-pressed={one === days} onClick={() => setDays(one)}>
                {one} {t("ngày", one === 1 ? "day" : "days")}
              </button>
            ))}
          </div>
        </fieldset>
        {kind === "survey" && <QuestionsEditor questions={questions} set={setQuestions} />}
      </section>
      <section class="panel where" aria-labelledby="n-where">
        <h2 id="n-where"><span class="step">2</span>{t("Ở đâu?", "Where?")}</h2>
        <p class="hint">{t("Không chọn gì: mọi đơn vị của cơ quan bạn.", "Nothing chosen: every unit of your agency.")}</p>
        <AreaEditor city={city} now={area} set={setArea} preview={preview} onSketch={setSketch} />
      </section>
      <section class="panel reach" aria-labelledby="n-reach">
        <h2 id="n-reach">{t("Đến bao nhiêu người?", "Whom does it reach?")}</h2>
        {texts.vi.title.trim() === ""
          ? <p class="hint">{t("Viết tiêu đề trước.", "Write a title first.")}</p>
          : <><Audience preview={preview} busy={busy} error={error} /><Findings preview={preview} /></>}
      </section>
      <section class="panel looks" aria-labelledby="n-looks">
        <h2 id="n-looks">{t("Trên màn hình khóa", "On the lock screen")}</h2>
        <Phones preview={preview} exercise={false} />
      </section>
      <div class="action-bar" role="region" aria-label={t("Gửi", "Send")}>
        <p class="grow">{now.agency.name}</p>
        <button type="button" class="primary" disabled={!ready} onClick={() => setAsking(true)}>{t("Phát…", "Publish…")}</button>
      </div>
      {asking && preview && (
        <Confirm draft={draft} preview={preview} grave={false} title={t("Phát tin này?", "Publish this?")} verb={t("Phát", "Publish")} onNo={() => setAsking(false)} onYes={publish} />
      )}
    </div>
  );
}

function targetOf(area: Composition, sketch: Drawn | null): NonNullable<NoticeBody["target"]> {
  const polygons = [...area.drawn.polygons, ...(sketch?.polygons ?? [])].map(closed);
  const circles = [...area.drawn.circles, ...(sketch?.circles ?? [])];
  return {
    ...(area.units.length > 0 ? { units: area.units } : {}),
    ...(polygons.length > 0 ? { polygons } : {}), ...(circles.length > 0 ? { circles } : {}),
  };
}
