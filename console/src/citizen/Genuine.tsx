// One line under an alert: whether its signature was verified in this browser.
import { useEffect, useState } from "preact/hooks";
import { t } from "../shared/language";
import type { Publication } from "./types";
import { type Verdict, verdictOf } from "./verify";

const words = (verdict: Verdict): string => {
  switch (verdict) {
    case "genuine": return t("✓ Chữ ký của thành phố đã được kiểm tra", "✓ The city's signature was verified");
    case "false": return t("⚠ Chữ ký KHÔNG khớp: đừng tin bản này", "⚠ The signature does NOT fit: do not trust this copy");
    case "unsigned": return t("Cảnh báo này không có chữ ký", "This alert carries no signature");
    case "unable": return t("Trình duyệt này không kiểm tra được chữ ký", "Not verified in this browser");
    case "unreachable": return t("Chưa kiểm tra được chữ ký: không tải được khoá", "Not verified: the keys could not be fetched");
  }
};

export function Genuine({ publication }: { publication: Publication }) {
  const [verdict, setVerdict] = useState<Verdict | null>(null);
  useEffect(() => {
    let here = true;
    void verdictOf(publication).then((found) => here && setVerdict(found));
    return () => {
      here = false;
    };
  }, [publication.id, publication.signature]);
  return verdict === null ? null : <p class="meta" data-verdict={verdict}>{words(verdict)}</p>;
}
