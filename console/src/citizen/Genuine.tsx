// Whether an alert's signature was verified in this browser: a line under it, or, where it does not
// fit, a refusal that nobody overlooks.
import { useEffect, useState } from "preact/hooks";
import { t } from "../shared/language";
import type { Publication } from "./types";
import type { Verdict } from "./verify";

const words = (verdict: Exclude<Verdict, "false">): string => {
  switch (verdict) {
    case "genuine": return t("✓ Chữ ký của thành phố đã được kiểm tra", "✓ The city's signature was verified");
    case "unsigned": return t("Cảnh báo này không có chữ ký", "This alert carries no signature");
    case "unable": return t("Trình duyệt này không kiểm tra được chữ ký", "Not verified in this browser");
    case "unreachable": return t("Chưa kiểm tra được chữ ký: không tải được khoá", "Not verified: the keys could not be fetched");
  }
};

export function useVerdict(publication: Publication | null): Verdict | null {
  const [verdict, setVerdict] = useState<Verdict | null>(null);
  useEffect(() => {
    let here = true;
    // Not part of what a first look at the alerts has to load.
    if (publication) {
      import("./verify").then(({ verdictOf }) => verdictOf(publication))
        .catch((): Verdict => "unreachable").then((found) => here && setVerdict(found));
    }
    return () => {
      here = false;
    };
  }, [publication]);
  return verdict;
}

export function Genuine({ verdict }: { verdict: Verdict | null }) {
  if (verdict === null || verdict === "false") return null;
  return <p class={verdict === "genuine" ? "meta genuine" : "meta"} data-verdict={verdict}>{words(verdict)}</p>;
}

/** Stands above the alert, so that it is read first. */
export function Forged({ verdict }: { verdict: Verdict | null }) {
  if (verdict !== "false") return null;
  return (
    <div class="forged" role="alert" data-verdict="false">
      <strong>{t("⚠ ĐỪNG TIN BẢN NÀY", "⚠ DO NOT TRUST THIS COPY")}</strong>
      <p>{t("Chữ ký của thành phố không khớp với nội dung: có thể đã bị sửa đổi. Xem cảnh báo thật ở trang chính, hoặc gọi 112.", "The city's signature does not fit what stands here: it may have been altered. See the true alerts on the main page, or call 112.")}</p>
    </div>
  );
}
