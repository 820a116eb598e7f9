// What the linter and the agency's jurisdiction say, each with where it is.
import { t } from "../../shared/language";
import type { Finding, Preview } from "../types";

const WHERE: readonly [RegExp, string, string][] = [
  [/headline/, "Tiêu đề", "Headline"], [/instruction/, "Cần làm gì", "What to do"],
  [/areas?\b|areaDesc/, "Khu vực", "Area"], [/description/, "Chuyện gì", "What is happening"], [/expires/, "Hết hiệu lực", "Expiry"],
  [/event/, "Tên sự việc", "Event"], [/response/, "Hành động", "Action"],
  [/parameters/, "Cấp độ", "Level"], [/title/, "Tiêu đề", "Title"], [/body/, "Nội dung", "Text"],
];

const RULES: Record<string, [string, string]> = {
  language_vi: ["Thiếu tiếng Việt.", "Vietnamese is missing."],
  language_en: ["Thiếu tiếng Anh: người nước ngoài sẽ không hiểu.", "English is missing: visitors will not understand."],
  action: ["Hãy nói người dân cần làm gì.", "Say what people should do."],
  response_type: ["Chưa chọn loại hành động.", "No kind of action is chosen."],
  expires_past: ["Đã quá giờ hết hiệu lực.", "The expiry lies in the past."],
  too_short: ["Hiệu lực ngắn hơn 5 phút.", "It lasts less than 5 minutes."],
  too_long: ["Hiệu lực quá 24 giờ: điện thoại có thể báo lại.", "It lasts over 24 hours: phones may show it again."],
  headline_length: ["Tiêu đề dài quá 160 ký tự.", "The headline has over 160 characters."],
  headline_url: ["Tiêu đề không nên có liên kết.", "A headline should carry no link."],
  shouting: ["Toàn chữ hoa: khó đọc.", "All capitals are hard to read."],
  payload_bytes: ["Quá dài: phần cuối sẽ bị cắt trên điện thoại.", "Too long: phones will cut the end."],
  headline: ["Chưa có tiêu đề.", "There is no headline."],
  language_default: ["Chữ tiếng Việt mà chưa ghi ngôn ngữ.", "Vietnamese words without their language."],
  headline_missing: ["Chưa có tiêu đề.", "There is no headline."],
  headline_long: ["Tiêu đề dài: điện thoại chỉ hiện phần đầu.", "The headline is long: phones show its beginning."],
  area_empty: ["Chưa có đơn vị, vùng hay vòng tròn nào.", "There is no unit, polygon or circle."],
  area_name_long: ["Tên khu vực dài hơn 50 ký tự.", "The area's name has over 50 characters."],
  polygon_detailed: ["Vùng vẽ quá nhiều góc.", "The polygon has too many corners."],
  disaster_level: ["Cấp độ và mức nghiêm trọng không khớp.", "Level and severity disagree."],
};

export function findingWords(finding: Finding): string {
  const known = RULES[finding.rule];
  return known ? t(known[0], known[1]) : finding.message;
}

function whereWords(path: string): string {
  const found = WHERE.find(([pattern]) => pattern.test(path));
  const language = path.startsWith("infos[1]") ? " (English)" : "";
  return (found ? t(found[1], found[2]) : path) + language;
}

export function Findings({ preview }: { preview: Preview | null }) {
  if (preview === null) return null;
  const trespass = preview.trespass.map((one) => (typeof one === "string" ? one : one.message));
  const errors = preview.warnings.filter(({ grade }) => grade === "error");
  const warnings = preview.warnings.filter(({ grade }) => grade !== "error");
  if (trespass.length + preview.warnings.length === 0) {
    return <p class="note good">{t("Không có gì phải sửa.", "Nothing to mend.")}</p>;
  }
  return (
    <ul class="findings" aria-label={t("Cần xem lại", "To be looked at")}>
      {trespass.map((words) => (
        <li key={words} class="bad"><b>{t("Ngoài thẩm quyền", "Outside your jurisdiction")}</b> {words}</li>
      ))}
      {[...errors, ...warnings].filter(isFirst).map((finding) => (
        <li key={finding.path + finding.rule} class={finding.grade === "error" ? "bad" : "warn"}>
          <b>{finding.grade === "error" ? t("Phải sửa", "Must be mended") : t("Nên xem", "Look at")} · {whereWords(finding.path)}</b>{" "}
          {findingWords(finding)}
        </li>
      ))}
    </ul>
  );
}

/** The same remark on both languages is one remark. */
function isFirst(finding: Finding, at: number, all: Finding[]): boolean {
  const same = (other: Finding) => findingWords(other) === findingWords(finding) && whereWords(other.path) === whereWords(finding.path);
  return all.findIndex(same) === at;
}

/** Whether it may go on: errors and trespasses stop it here, before the node has to refuse. */
export function isClean(preview: Preview | null): boolean {
  return preview !== null && preview.trespass.length === 0 && preview.warnings.every(({ grade }) => grade !== "error");
}
