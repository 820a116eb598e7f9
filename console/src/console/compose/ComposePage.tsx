// Compose: what, where, which words; beside them how many it reaches, how fast, and how it looks.
import { useEffect, useMemo, useState } from "preact/hooks";
import { milliseconds, number } from "../../shared/format";
import { t } from "../../shared/language";
import { useStore } from "../../shared/store";
import { get, post, put } from "../api";
import type { Drawn } from "../map/drawing";
import { go, route } from "../router";
import { attempt, may, say, session, templates, unitName, units } from "../state";
import type { Detail, Draft, Preview } from "../types";
import { Confirm } from "../ui/Confirm";
import { Heading } from "../ui/Heading";
import { AreaEditor } from "./AreaEditor";
import { Audience } from "./Audience";
import { draftOf, empty, from, hasArea, withTemplate, type Composition } from "./composition";
import { Findings, isClean } from "./Findings";
import { LevelPicker } from "./LevelPicker";
import { NoticeEditor } from "./NoticeEditor";
import { Phones } from "./Phones";
import { TemplatePicker } from "./TemplatePicker";
import { ExpiryPicker, LinksEditor, TextsEditor } from "./TextsEditor";
import { usePreview } from "./usePreview";

export function ComposePage() {
  const { query } = useStore(route);
  const notice = query.get("kind") === "notice";
  const update = query.get("of") !== null;
  return (
    <>
      <Heading text={update ? t("Soạn bản cập nhật", "Write an update") : t("Soạn tin", "Compose")}>
        {!update && (
          <nav class="tabs" aria-label={t("Loại tin", "Kind")}>
            <a href="/console/compose" aria-current={notice ? undefined : "page"}>{t("Cảnh báo", "Alert")}</a>
            <a href="/console/compose?kind=notice" aria-current={notice ? "page" : undefined}>{t("Tin và khảo sát", "News and surveys")}</a>
          </nav>
        )}
      </Heading>
      {notice ? <NoticeEditor /> : <AlertEditor key={`${query.get("draft")}${query.get("of")}${query.get("exercise")}`} />}
    </>
  );
}

function AlertEditor() {
  const city = useStore(units);
  const patterns = useStore(templates);
  const now = useStore(session)!;
  const { query } = useStore(route);
  const [writing, set] = useState<Composition>(() => empty(query.get("exercise") === "1" || now.exercise_only));
  const [sketch, setSketch] = useState<Drawn | null>(null);
  const [asking, setAsking] = useState<"submit" | "publish" | "override" | null>(null);
  const [loaded, setLoaded] = useState(!query.has("draft") && !query.has("of"));
  useEffect(() => void load(query, set).then(() => setLoaded(true)), []);

  // While something is drawn the audience follows it, as if it were finished.
  const shown = useMemo(() => (sketch === null ? writing : {
    ...writing,
    drawn: {
      polygons: [...writing.drawn.polygons, ...sketch.polygons],
      circles: [...writing.drawn.circles, ...sketch.circles],
    },
  }), [writing, sketch]);
  const draft = draftOf(shown, now.agency.name, unitName);
  const { preview, busy, error } = usePreview(hasArea(shown) || shown.kind === "cancel" ? draft : null);
  if (city === null || !loaded) return <p class="loading">{t("Đang tải bản đồ…", "Loading the map…")}</p>;

  const save = async (): Promise<Draft> => {
    const body = draftOf(writing, now.agency.name, unitName);
    const saved = writing.draft
      ? await put<Draft>(`/drafts/${writing.draft.id}`, { version: writing.draft.version, body: body.body })
      : await post<Draft>("/drafts", body);
    set({ ...writing, draft: { id: saved.id, version: saved.version } });
    return saved;
  };
  const finish = (act: "submit" | "publish" | "override") => async (reason: string) => {
    await attempt(async () => {
      const saved = await save();
      const done = await post<Draft>(`/drafts/${saved.id}/${act}`, { version: saved.version, ...(reason ? { reason } : {}) });
      setAsking(null);
      say(act === "submit" ? t("Đã trình. Người thứ hai sẽ duyệt.", "Submitted. A second person decides now.") : t("Đã phát.", "Published."));
      go(done.publication ? `watch/${done.publication}` : "approve");
    });
  };
  const ready = isClean(preview) && !busy && writing.texts.vi.headline.trim() !== "" && hasArea(writing);
  return (
    <div class="compose">
      <section class="panel what" aria-labelledby="h-what">
        <h2 id="h-what"><span class="step">1</span>{t("Chuyện gì?", "What?")}</h2>
        <TemplatePicker templates={patterns} chosen={writing.template} onPick={(one) => set(withTemplate(writing, one))} />
        <LevelPicker now={writing} set={set} highest={now.agency.jurisdiction.highest_severity} />
      </section>
      <section class="panel where" aria-labelledby="h-where">
        <h2 id="h-where"><span class="step">2</span>{t("Ở đâu?", "Where?")}</h2>
        <AreaEditor city={city} now={writing} set={set} preview={preview} onSketch={setSketch} />
      </section>
      <section class="panel words" aria-labelledby="h-words">
        <h2 id="h-words"><span class="step">3</span>{t("Nói gì?", "Which words?")}</h2>
        <TextsEditor now={writing} set={set} />
        <ExpiryPicker now={writing} set={set} />
        <LinksEditor now={writing} set={set} />
        <label class="check">
          <input type="checkbox" name="exercise" checked={writing.exercise} disabled={now.exercise_only} onChange={() => set({ ...writing, exercise: !writing.exercise })} />
          {t("Diễn tập: chỉ đến thiết bị đã đăng ký tham gia", "Exercise: reaches only devices that take part")}
        </label>
      </section>
      <section class="panel reach" aria-labelledby="h-reach">
        <h2 id="h-reach">{t("Đến bao nhiêu người?", "Whom does it reach?")}</h2>
        <Audience preview={preview} busy={busy} error={error} />
        <h3>{t("Cần xem lại", "To be looked at")}</h3>
        {preview ? <Findings preview={preview} /> : <p class="hint">{t("Hiện sau khi chọn khu vực.", "Shown once there is an area.")}</p>}
      </section>
      <section class="panel looks" aria-labelledby="h-looks">
        <h2 id="h-looks">{t("Trên màn hình khóa", "On the lock screen")}</h2>
        <Phones preview={preview} exercise={writing.exercise} />
      </section>
      <ActionBar preview={preview} ready={ready} onSave={() => void attempt(async () => { await save(); say(t("Đã lưu nháp.", "Draft saved.")); })} onAsk={setAsking} />
      {asking !== null && preview !== null && (
        <Confirm
          draft={draft} preview={preview} grave={asking !== "submit"} onNo={() => setAsking(null)} onYes={finish(asking)}
          title={asking === "submit" ? t("Trình người thứ hai duyệt?", "Submit to a second person?") : asking === "publish" ? t("Phát ngay?", "Publish now?") : t("Phát khẩn, không chờ duyệt?", "Override: publish without a second person?")}
          verb={asking === "submit" ? t("Trình duyệt", "Submit") : asking === "publish" ? t("Phát", "Publish") : t("Phát khẩn", "Override and publish")}
          {...(asking === "override" ? { reason: t("Lý do (được ghi lại và báo cho mọi người trực)", "Reason (recorded, and shown to everyone on duty)") } : {})}
        />
      )}
    </div>
  );
}

function ActionBar(props: {
  preview: Preview | null; ready: boolean; onSave: () => void; onAsk: (act: "submit" | "publish" | "override") => void;
}) {
  const { preview, ready, onAsk } = props;
  const last = preview ? Math.max(0, ...Object.values(preview.forecast).map(({ last_ms }) => last_ms)) : 0;
  const second = preview?.needs_second_person ?? true;
  return (
    <div class="action-bar" role="region" aria-label={t("Gửi", "Send")}>
      <p class="grow" aria-live="polite">
        {preview ? (
          <>
            <strong>{number(preview.audience.devices)}</strong> {t("thiết bị", "devices")} · {number(preview.audience.units.filter(({ share }) => share > 0).length)} {t("đơn vị", "units")}
            <span class="wide-only"> · {t("xong sau", "done in")} {milliseconds(last)} · {second ? t("cần người thứ hai duyệt", "needs a second person") : t("tự phát được", "needs no second person")}</span>
          </>
        ) : t("Chưa chọn khu vực", "No area yet")}
      </p>
      <button type="button" onClick={props.onSave}>{t("Lưu nháp", "Save draft")}</button>
      {second && may("override") && (
        <button type="button" class="danger-line" disabled={!ready} onClick={() => onAsk("override")}>{t("Phát khẩn…", "Override…")}</button>
      )}
      {second
        ? <button type="button" class="primary" disabled={!ready} onClick={() => onAsk("submit")}>{t("Trình duyệt…", "Submit…")}</button>
        : <button type="button" class="primary" disabled={!ready} onClick={() => onAsk("publish")}>{t("Phát…", "Publish…")}</button>}
    </div>
  );
}

/** What the page was opened for: a draft to go on with, or a published alert to update. */
async function load(query: URLSearchParams, set: (next: Composition) => void): Promise<void> {
  const id = query.get("draft");
  const of = query.get("of");
  if (id !== null) {
    const draft = await attempt(() => get<Draft>(`/drafts/${id}`));
    if (draft) set({ ...from(draft), draft: { id: draft.id, version: draft.version } });
  } else if (of !== null) {
    const detail = await attempt(() => get<Detail>(`/publications/${of}`));
    const body = detail?.publication.alert;
    if (detail && body) set({ ...from({ kind: "update", of, body, exercise: detail.publication.exercise }), note: "" });
  }
}
