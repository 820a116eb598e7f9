// A level by number, name and colour, never by colour alone.
import { language } from "./language";
import { levelOf, levelOfSeverity } from "./levels";
import { useStore } from "./store";

export function LevelChip(props: { level?: number; severity?: string }) {
  const lang = useStore(language);
  const level = levelOf(props.level) ?? levelOfSeverity(props.severity);
  if (level === undefined) {
    return <span class="level level-none">{lang === "vi" ? "Không có cấp độ" : "No level"}</span>;
  }
  const word = lang === "vi" ? "Cấp" : "Level";
  return (
    <span class={`level level-${level.number}`}>
      <b aria-hidden="true">{level.number}</b>
      <span class="level-words">
        <span class="sr-only">{`${word} ${level.number}: `}</span>
        {level[lang]}
      </span>
    </span>
  );
}
