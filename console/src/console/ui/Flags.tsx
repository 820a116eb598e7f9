// What must never be forgotten while looking at a screen: boundaries that are only approximate,
// providers that are simulated, and exercises.
import { t } from "../../shared/language";
import { useStore } from "../../shared/store";
import { session } from "../state";
import { Icon } from "./Icon";

export function Boundaries() {
  const now = useStore(session);
  if (now?.boundaries !== "approximate") return null;
  return (
    <p class="flag warn map-flag">
      <Icon name="warn" /> {t("Ranh giới gần đúng", "Approximate boundaries")}
    </p>
  );
}

export function TopFlags() {
  const now = useStore(session);
  if (!now) return null;
  return (
    <>
      {now.simulated && <span class="flag warn">{t("Nhà cung cấp giả lập", "Simulated providers")}</span>}
      {now.exercise_only && <span class="flag exercise">{t("Chỉ diễn tập", "Exercises only")}</span>}
      {now.boundaries === "approximate" && <span class="flag warn">{t("Ranh giới gần đúng", "Approximate boundaries")}</span>}
    </>
  );
}

export function ExerciseFlag() {
  return <span class="flag exercise">{t("DIỄN TẬP", "EXERCISE")}</span>;
}
