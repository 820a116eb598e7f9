// The words, in both languages side by side, and until when they hold.
import { useState } from "preact/hooks";
import { duration, time } from "../../shared/format";
import { t } from "../../shared/language";
import type { Lang, Words } from "../types";
import { inMinutes, type Composition } from "./composition";

/** CAP 1.2: under 160 characters. */
const HEADLINE_MAX = 160;
const SPANS = [30, 60, 180, 360, 720, 1440];

interface Props { now: Composition; set: (next: Composition) => void }

export function TextsEditor({ now, set }: Props) {
  const [lang, setLang] = useState<Lang>("vi");
  const words = now.texts[lang];
  const write = (key: keyof Words) => (event: { currentTarget: { value: string } }) =>
    set({ ...now, texts: { ...now.texts, [lang]: { ...words, [key]: event.currentTarget.value } } });
  const names = lang === "vi" ? "tiếng Việt" : "English";
  return (
    <div lang={lang}>
      <div class="tabs small" role="tablist" aria-label={t("Ngôn ngữ của tin", "Language of the words")}>
        {(["vi", "en"] as const).map((one) => (
          <button
            type="button" role="tab" key={one} aria-selected={one === lang} aria-controls="words"
            id={`tab-${one}`} onClick={() => setLang(one)}
          >
            {one === "vi" ? "Tiếng Việt" : "English"}
            {now.texts[one].headline.trim() === "" && <span class="dot" title={t("còn trống", "empty")}> ○</span>}
          </button>
        ))}
      </div>
      <div id="words" role="tabpanel" aria-labelledby={`tab-${lang}`}>
        <label class="field">
          <span>{t("Tiêu đề", "Headline")} <small>({names})</small></span>
          <textarea
            rows={2} value={words.headline} onInput={write("headline")} name={`headline-${lang}`}
            aria-describedby="headline-count"
          />
          <small id="headline-count" class={words.headline.length > HEADLINE_MAX ? "count bad" : "count"}>
            {words.headline.length}/{HEADLINE_MAX}
          </small>
        </label>
        <label class="field">
          <span>{t("Cần làm gì – hiện trước tiên trên điện thoại", "What to do – comes first on the phone")}</span>
          <textarea rows={3} value={words.instruction} onInput={write("instruction")} name={`instruction-${lang}`} />
        </label>
        <label class="field">
          <span>{t("Chuyện gì đang xảy ra", "What is happening")}</span>
          <textarea rows={3} value={words.description} onInput={write("description")} name={`description-${lang}`} />
        </label>
        <label class="field">
          <span>{t("Tên sự việc", "Event")}</span>
          <input value={words.event} onInput={write("event")} name={`event-${lang}`} />
        </label>
      </div>
    </div>
  );
}

export function ExpiryPicker({ now, set }: Props) {
  const local = new Date(now.expires.getTime() + 7 * 3600_000).toISOString().slice(0, 16);
  return (
    <fieldset class="expiry">
      <legend>{t("Hết hiệu lực lúc", "Until")}</legend>
      <div class="row wrap">
        <input
          type="datetime-local" value={local} aria-label={t("Hết hiệu lực (giờ Việt Nam)", "Expires (Vietnam time)")}
          onInput={(event) => {
            const at = new Date(`${event.currentTarget.value}:00+07:00`);
            if (!Number.isNaN(at.getTime())) set({ ...now, expires: at });
          }}
        />
        {SPANS.map((minutes) => (
          <button type="button" class="pill" key={minutes} onClick={() => set({ ...now, expires: inMinutes(minutes) })}>
            +{duration(minutes * 60)}
          </button>
        ))}
      </div>
      <p class="hint">
        {t(`Sau ${time(now.expires)} không gửi cho ai nữa.`, `After ${time(now.expires)} nobody gets it any more.`)}
      </p>
    </fieldset>
  );
}

/** Links: a page, whom to ask, pictures and documents by address. */
export function LinksEditor({ now, set }: Props) {
  const change = (index: number, uri: string) =>
    set({ ...now, resources: now.resources.map((one, i) => (i === index ? { ...one, uri, mime_type: mimeOf(uri) } : one)) });
  return (
    <details class="more">
      <summary>{t("Liên kết và tệp đính kèm", "Links and attachments")}</summary>
      <label class="field">
        <span>{t("Trang có thêm thông tin (https)", "Page with more (https)")}</span>
        <input type="url" value={now.web} onInput={(event) => set({ ...now, web: event.currentTarget.value })} />
      </label>
      <label class="field">
        <span>{t("Liên hệ", "Contact")}</span>
        <input value={now.contact} onInput={(event) => set({ ...now, contact: event.currentTarget.value })} />
      </label>
      {now.resources.map((resource, index) => (
        <div class="row" key={index}>
          <label class="field grow">
            <span>{t(`Tệp ${index + 1} (địa chỉ)`, `Attachment ${index + 1} (address)`)}</span>
            <input type="url" value={resource.uri} onInput={(event) => change(index, event.currentTarget.value)} />
          </label>
          <button type="button" class="quiet" onClick={() => set({ ...now, resources: now.resources.filter((_, i) => i !== index) })}>
            {t("Bỏ", "Remove")}
          </button>
        </div>
      ))}
      <button
        type="button" class="quiet"
        onClick={() => set({ ...now, resources: [...now.resources, { description: t("Tệp đính kèm", "Attachment"), mime_type: "text/html", uri: "" }] })}
      >
        {t("+ Thêm tệp bằng liên kết", "+ Attach by link")}
      </button>
    </details>
  );
}

function mimeOf(uri: string): string {
  const end = uri.toLowerCase().split(/[?#]/)[0]!.split(".").pop();
  const known: Record<string, string> = { png: "image/png", jpg: "image/jpeg", jpeg: "image/jpeg", pdf: "application/pdf", mp3: "audio/mpeg", mp4: "video/mp4" };
  return known[end ?? ""] ?? "text/html";
}
