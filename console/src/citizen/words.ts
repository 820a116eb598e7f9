// Choosing among a publication's languages.
import { language } from "../shared/language";
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
