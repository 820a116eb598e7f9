// Choosing among a publication's languages, and saying what its words alone do not say.
import { language, t } from "../shared/language";
import type { Publication, Text } from "./types";

export function textOf(publication: Publication): Text {
  const wanted = language.get();
  const texts = publication.texts;
  return (
    texts.find((text) => text.language.startsWith(wanted)) ??
    texts.find((text) => text.language.startsWith("vi")) ??
    texts[0] ?? { language: "vi", title: "", body: "" }
  );
}

/** Who says so, by the name that people know. */
export function senderOf(publication: Publication): string {
  return textOf(publication).sender ?? publication.agency_name ?? publication.agency;
}

export const isWithdrawal = ({ action }: Publication): boolean => action === "cancel";

/** A withdrawal often keeps the headline of what it takes back, so it is said before it. */
export function withdrawn(): string {
  return t("Cảnh báo đã được thu hồi", "This warning was withdrawn");
}

/** One line that can stand alone. */
export function lineOf(publication: Publication): string {
  const { title } = textOf(publication);
  return isWithdrawal(publication) ? `${withdrawn()}: ${title}` : title;
}

/** What is read aloud: in the language of the text, whatever the page's is. */
export function spokenOf(publication: Publication): Text {
  const text = textOf(publication);
  if (!isWithdrawal(publication)) return text;
  const said = text.language.startsWith("vi") ? "Cảnh báo đã được thu hồi" : "This warning was withdrawn";
  return { ...text, title: `${said}. ${text.title}` };
}
