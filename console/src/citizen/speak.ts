// Reading aloud with the browser's own voice, in the language of the text.
import { createStore } from "../shared/store";
import type { Text } from "./types";

export const speaking = createStore<string | null>(null);

export function canSpeak(): boolean {
  return "speechSynthesis" in window;
}

export function speak(id: string, text: Text): void {
  speechSynthesis.cancel();
  if (speaking.get() === id) {
    speaking.set(null);
    return;
  }
  const parts = [text.title, text.instruction, text.body].filter((part) => part !== undefined && part !== "");
  const words = parts.map((part) => (/[.!?…]$/.test(part!) ? part : `${part}.`)).join(" ");
  const utterance = new SpeechSynthesisUtterance(words);
  utterance.lang = text.language;
  const primary = text.language.split("-")[0]!;
  const voice = speechSynthesis.getVoices().find((one) => one.lang.toLowerCase().startsWith(primary));
  if (voice) utterance.voice = voice;
  // Slow enough for old ears and loud rooms.
  utterance.rate = 0.9;
  utterance.onend = () => speaking.get() === id && speaking.set(null);
  speaking.set(id);
  speechSynthesis.speak(utterance);
}
