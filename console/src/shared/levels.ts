// The five national levels of disaster risk (Quyết định 18/2021/QĐ-TTg, article 4) and CAP's scales,
// in plain words. A level is always shown by number, name and colour together.

import { t } from "./language";

export type Severity = "Extreme" | "Severe" | "Moderate" | "Minor" | "Unknown";
export type Urgency = "Immediate" | "Expected" | "Future" | "Past" | "Unknown";
export type Certainty = "Observed" | "Likely" | "Possible" | "Unlikely" | "Unknown";

export interface Level {
  number: 1 | 2 | 3 | 4 | 5;
  vi: string;
  en: string;
  severity: Severity;
  plain: { vi: string; en: string };
}

export const LEVELS: readonly Level[] = [
  {
    number: 1, vi: "Thấp", en: "Low", severity: "Minor",
    plain: { vi: "Cần để ý, ít ảnh hưởng đến sinh hoạt.", en: "Take note; daily life goes on." },
  },
  {
    number: 2, vi: "Trung bình", en: "Medium", severity: "Moderate",
    plain: { vi: "Có thể gây thiệt hại, nên chuẩn bị.", en: "Damage is possible; people should prepare." },
  },
  {
    number: 3, vi: "Lớn", en: "Large", severity: "Severe",
    plain: { vi: "Nguy hiểm cho người và tài sản, phải hành động.", en: "Dangerous to people and property; they must act." },
  },
  {
    number: 4, vi: "Rất lớn", en: "Very large", severity: "Extreme",
    plain: { vi: "Đe dọa tính mạng, hành động ngay.", en: "Lives are threatened; act at once." },
  },
  {
    number: 5, vi: "Thảm họa", en: "Catastrophe", severity: "Extreme",
    plain: { vi: "Thảm họa, vượt quá khả năng ứng phó thông thường.", en: "A catastrophe beyond ordinary response." },
  },
];

export function levelOf(number: number | undefined): Level | undefined {
  return LEVELS.find((level) => level.number === number);
}

/** The lowest level of a severity, for alerts that carry none. */
export function levelOfSeverity(severity: string | undefined): Level | undefined {
  return LEVELS.find((level) => level.severity === severity);
}

type Words<T extends string> = readonly { value: T; vi: string; en: string }[];

export const URGENCIES: Words<Urgency> = [
  { value: "Immediate", vi: "Hành động ngay", en: "Act at once" },
  { value: "Expected", vi: "Hành động sớm, trong giờ tới", en: "Act soon, within the hour" },
  { value: "Future", vi: "Sẽ xảy ra, còn thời gian chuẩn bị", en: "Later; there is time to prepare" },
  { value: "Past", vi: "Đã qua", en: "It is over" },
  { value: "Unknown", vi: "Chưa rõ", en: "Not known" },
];

export const CERTAINTIES: Words<Certainty> = [
  { value: "Observed", vi: "Đang xảy ra, đã thấy", en: "Seen, happening" },
  { value: "Likely", vi: "Nhiều khả năng (trên 50 %)", en: "Likely (over 50 %)" },
  { value: "Possible", vi: "Có thể (dưới 50 %)", en: "Possible (under 50 %)" },
  { value: "Unlikely", vi: "Ít khả năng", en: "Unlikely" },
  { value: "Unknown", vi: "Chưa rõ", en: "Not known" },
];

export const RESPONSES: Words<string> = [
  { value: "Shelter", vi: "Trú ẩn tại chỗ", en: "Take shelter" },
  { value: "Evacuate", vi: "Sơ tán", en: "Evacuate" },
  { value: "Prepare", vi: "Chuẩn bị", en: "Prepare" },
  { value: "Execute", vi: "Làm theo kế hoạch đã định", en: "Follow the plan" },
  { value: "Avoid", vi: "Tránh xa", en: "Keep away" },
  { value: "Monitor", vi: "Theo dõi tin", en: "Follow the news" },
  { value: "AllClear", vi: "Hết nguy hiểm", en: "All clear" },
  { value: "None", vi: "Không cần làm gì", en: "Nothing to do" },
];

/** A severity of CAP with the levels it stands for. */
export function severityWords(severity: Severity): string {
  const levels = LEVELS.filter((level) => level.severity === severity).map(({ number }) => number);
  return levels.length === 0 ? severity : `${severity} (${t("cấp", "level")} ${levels.join(", ")})`;
}
