// The clock since publication.
import { clock } from "../../shared/format";
import { t } from "../../shared/language";
import { useNow } from "../ui/useNow";

export function Since({ at, over }: { at: string; over: boolean }) {
  const now = useNow(1000);
  const seconds = (now - new Date(at).getTime()) / 1000;
  return (
    <div class="since">
      <span class="since-clock" role="timer" aria-label={t("Từ khi phát", "Since publication")}>{clock(seconds)}</span>
      <small>{over ? t("từ khi phát · đã gửi xong", "since publication · sending is done") : t("từ khi phát · đang gửi", "since publication · sending")}</small>
    </div>
  );
}
