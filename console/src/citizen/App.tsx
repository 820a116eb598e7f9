// The citizens' page: what concerns you now, in words, large.
import { useEffect, useState } from "preact/hooks";
import { ago, time } from "../shared/format";
import { language, setLanguage, t } from "../shared/language";
import { useStore } from "../shared/store";
import { AlertCard } from "./AlertCard";
import { AlertPage } from "./AlertPage";
import { current, known } from "./alerts";
import { ask, places } from "./device";
import { Inbox } from "./Inbox";
import { Past } from "./Past";
import { Places } from "./Places";
import { Settings } from "./Settings";
import { line } from "./stream";
import type { Config } from "./types";

/** How old what is shown may be before the page says so aloud. */
const STALE_MS = 120_000;
const TICK_MS = 5_000;

function useTick(): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), TICK_MS);
    return () => clearInterval(timer);
  }, []);
  return now;
}

function useHash(): string {
  const [hash, setHash] = useState(location.hash.slice(1));
  useEffect(() => {
    const look = () => setHash(location.hash.slice(1));
    window.addEventListener("hashchange", look);
    return () => window.removeEventListener("hashchange", look);
  }, []);
  return hash;
}

export function App() {
  const lang = useStore(language);
  const hash = useHash();
  const now = useTick();
  const [config, setConfig] = useState<Config | null>(null);
  useEffect(() => void ask<Config>("GET", "/v1/config", undefined, {}).then(setConfig).catch(() => undefined), []);
  const alert = location.pathname.match(/^\/alerts\/([\w-]+)$/)?.[1];
  const tab = alert && hash === "" ? "alert" : hash || "now";
  const at = (name: string) => (alert ? `/#${name}` : `#${name}`);
  return (
    <div class="page">
      <header>
        <a class="brand" href="/"><img src="/icon.svg" alt="" width="32" height="32" /> Loa</a>
        <Connection now={now} />
        <button type="button" class="language" lang={lang === "vi" ? "en" : "vi"} onClick={() => setLanguage(lang === "vi" ? "en" : "vi")}>
          {lang === "vi" ? "English" : "Tiếng Việt"}
        </button>
      </header>
      <main id="main">
        {tab === "alert" && <AlertPage id={alert!} now={now} />}
        {tab === "now" && <Now now={now} />}
        {tab === "past" && <Past now={now} />}
        {tab === "inbox" && <Inbox now={now} config={config} />}
        {tab === "settings" && <Settings />}
      </main>
      <nav aria-label={t("Chính", "Main")}>
        <a href={alert ? "/" : "#"} aria-current={tab === "now" ? "page" : undefined}>{t("Cảnh báo", "Alerts")}</a>
        <a href={at("past")} aria-current={tab === "past" ? "page" : undefined}>{t("Gần đây", "Recent")}</a>
        <a href={at("inbox")} aria-current={tab === "inbox" ? "page" : undefined}>{t("Hộp thư", "Inbox")}</a>
        <a href={at("settings")} aria-current={tab === "settings" ? "page" : undefined}>{t("Cài đặt", "Settings")}</a>
      </nav>
    </div>
  );
}

function Now({ now }: { now: number }) {
  const { items, at } = useStore(known);
  const mine = useStore(places);
  const shown = current(items, now);
  const live = shown.filter(({ action }) => action !== "cancel");
  return (
    <section aria-labelledby="now-title">
      <h1 id="now-title">
        {live.length === 0
          ? t("Không có cảnh báo nào", "No alert now")
          : live.length === 1 ? t("1 cảnh báo đang hiệu lực", "1 alert in force") : t(`${live.length} cảnh báo đang hiệu lực`, `${live.length} alerts in force`)}
      </h1>
      <p class="for">
        {mine.length === 0 ? t("cho toàn thành phố", "for the whole city") : mine.map(({ name }) => name).join(", ")}
        {at > 0 && ` · ${t("cập nhật", "as of")} ${time(new Date(at))}`}
      </p>
      {mine.length === 0 && live.length > 0 && <p><a class="button" href="#settings">◎ {t("Chọn nơi của bạn", "Choose your place")}</a></p>}
      <div aria-live="polite">
        {shown.map((publication) => <AlertCard key={publication.id} publication={publication} now={now} />)}
      </div>
      {live.length === 0 && at > 0 && <p class="calm">{t("Bạn sẽ thấy ngay tại đây khi có cảnh báo.", "You will see it here as soon as there is one.")}</p>}
      {mine.length === 0 && <Places />}
    </section>
  );
}

/** Whether what is on the screen is fresh, and how old it is when it is not. */
function Connection({ now }: { now: number }) {
  const state = useStore(line);
  const { at } = useStore(known);
  const online = state === "websocket" || state === "events";
  if (online) return <span class="line is-on" data-line={state}>{t("Trực tuyến", "Live")}</span>;
  if (state === "off" && navigator.onLine && now - at < STALE_MS) return <span class="line" data-line="off" />;
  if (at === 0) return <span class="line" role="status">{t("Đang tải…", "Loading…")}</span>;
  return (
    <span class="line is-off" role="status" data-line={state}>
      {t("Mất kết nối", "No connection")} · {t("tin lúc", "as of")} {time(new Date(at))} ({ago(new Date(at), now)})
    </span>
  );
}
