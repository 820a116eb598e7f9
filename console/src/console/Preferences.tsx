// Language and theme.
import { language, setLanguage, t } from "../shared/language";
import { useStore } from "../shared/store";
import { setTheme, theme, type Theme } from "../shared/theme";

const THEMES: readonly [Theme, string, string][] = [["auto", "Theo máy", "As device"], ["light", "Sáng", "Light"], ["dark", "Tối", "Dark"]];

export function Preferences() {
  const lang = useStore(language);
  const look = useStore(theme);
  return (
    <div class="preferences">
      <button type="button" class="quiet" lang={lang === "vi" ? "en" : "vi"} onClick={() => setLanguage(lang === "vi" ? "en" : "vi")}>
        {lang === "vi" ? "English" : "Tiếng Việt"}
      </button>
      <label>
        <span class="sr-only">{t("Nền", "Theme")}</span>
        <select value={look} onChange={(event) => setTheme(event.currentTarget.value as Theme)}>
          {THEMES.map(([value, vi, en]) => <option key={value} value={value}>{t(vi, en)}</option>)}
        </select>
      </label>
    </div>
  );
}
