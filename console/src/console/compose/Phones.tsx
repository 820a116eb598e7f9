// The lock screen as people will see it, on both systems and in both languages, with the bytes that
// the payload takes of the providers' 4,096.
import { useState } from "preact/hooks";
import { number } from "../../shared/format";
import { t } from "../../shared/language";
import type { Lang, Payload, Preview } from "../types";

const PAYLOAD_MAX = 4096;

export function Phones({ preview, exercise }: { preview: Preview | null; exercise: boolean }) {
  const [lang, setLang] = useState<Lang>("vi");
  return (
    <div>
      <div class="tabs small" role="tablist" aria-label={t("Ngôn ngữ màn hình khóa", "Lock screen language")}>
        {(["vi", "en"] as const).map((one) => (
          <button type="button" role="tab" key={one} aria-selected={one === lang} aria-controls="phones" id={`phone-${one}`} onClick={() => setLang(one)}>
            {one === "vi" ? "Tiếng Việt" : "English"}
          </button>
        ))}
      </div>
      <div class="phones" id="phones" role="tabpanel" aria-labelledby={`phone-${lang}`}>
        <Phone system="ios" name="iPhone" payload={preview?.payloads.apns?.[lang]} lang={lang} exercise={exercise} />
        <Phone system="android" name="Android" payload={preview?.payloads.fcm?.[lang]} lang={lang} exercise={exercise} />
      </div>
    </div>
  );
}

function Phone(props: { system: "ios" | "android"; name: string; payload: Payload | undefined; lang: Lang; exercise: boolean }) {
  const { system, name, payload, lang } = props;
  const over = (payload?.bytes ?? 0) > PAYLOAD_MAX;
  return (
    <figure class={`phone ${system}`}>
      <div class="screen">
        <span class="phone-time" aria-hidden="true">06:12</span>
        <div class="notification" lang={lang}>
          <span class="app">
            <img src="/icon.svg" alt="" width="16" height="16" /> {system === "ios" ? "CÔNG DÂN SỐ" : "Công dân số"}
            <span class="when">{lang === "vi" ? "bây giờ" : "now"}</span>
          </span>
          <strong>{payload?.title || t("(chưa có tiêu đề)", "(no headline yet)")}</strong>
          <p>{payload?.body ?? ""}</p>
        </div>
      </div>
      <figcaption>
        {name}{" "}
        <span class={over ? "count bad" : "count"}>
          {payload ? `${number(payload.bytes)} / ${number(PAYLOAD_MAX)} bytes` : ""}
        </span>
      </figcaption>
    </figure>
  );
}
