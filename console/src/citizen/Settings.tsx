// Settings: places, notices while the page is closed, exercises, language, theme, and the way out.
import { useState } from "preact/hooks";
import { language, setLanguage, t } from "../shared/language";
import { useStore } from "../shared/store";
import { setTheme, theme, type Theme } from "../shared/theme";
import { device, exercises, forget, pushOn, setAddress, setExercises } from "./device";
import { Places } from "./Places";
import { canPush, subscribe, unsubscribe } from "./push";

export function Settings() {
  const lang = useStore(language);
  const look = useStore(theme);
  const mine = useStore(device);
  const drills = useStore(exercises);
  return (
    <section aria-labelledby="settings-title">
      <h1 id="settings-title">{t("Cài đặt", "Settings")}</h1>
      <Places />
      {mine === null && <p class="remark">{t("Chọn ít nhất một nơi để bật thông báo đẩy và diễn tập.", "Choose a place first, then push notifications and exercises can be switched on.")}</p>}
      <Push />
      <h2>{t("Diễn tập", "Exercises")}</h2>
      <label class="choice">
        <input type="checkbox" checked={drills} disabled={mine === null} onChange={() => void setExercises(!drills).catch(() => undefined)} />
        {t("Nhận cả cảnh báo diễn tập", "Take part in exercises")}
      </label>
      <h2>{t("Hiển thị", "Display")}</h2>
      <p class="buttons">
        {(["vi", "en"] as const).map((one) => (
          <button type="button" key={one} lang={one} aria-pressed={lang === one} onClick={() => setLanguage(one)}>{one === "vi" ? "Tiếng Việt" : "English"}</button>
        ))}
      </p>
      <p class="buttons">
        {([["auto", "Theo máy", "As device"], ["light", "Nền sáng", "Light"], ["dark", "Nền tối", "Dark"]] as [Theme, string, string][]).map(([value, vi, en]) => (
          <button type="button" key={value} aria-pressed={look === value} onClick={() => setTheme(value)}>{t(vi, en)}</button>
        ))}
      </p>
      {mine !== null && (
        <>
          <h2>{t("Dữ liệu của bạn", "Your data")}</h2>
          <p>{t("Máy chủ chỉ giữ nơi bạn chọn và địa chỉ nhận tin của trình duyệt này, không có tên bạn.", "The server keeps the places you chose and this browser's push address, not your name.")}</p>
          <p><button type="button" onClick={() => void forget()}>{t("Xóa hết và ngừng nhận tin", "Erase everything and stop")}</button></p>
        </>
      )}
    </section>
  );
}

function Push() {
  const mine = useStore(device);
  const on = useStore(pushOn);
  const [words, setWords] = useState("");
  if (!canPush()) return null;
  const change = async () => {
    setWords("");
    try {
      await setAddress(on ? await unsubscribe() : await subscribe());
    } catch {
      setWords(t("Trình duyệt hoặc máy chủ không cho nhận tin khi đóng trang.", "The browser or the server does not allow it."));
    }
  };
  return (
    <>
      <h2>{t("Khi trang đã đóng", "While the page is closed")}</h2>
      <label class="choice">
        <input type="checkbox" checked={on} disabled={mine === null} onChange={() => void change()} />
        {t("Vẫn báo cho tôi (thông báo đẩy)", "Warn me still (push notifications)")}
      </label>
      <p role="status">{words}</p>
    </>
  );
}
