// Numbers and times as people of the city write them.
import { language, t } from "./language";

const locale = () => (language.get() === "en" ? "en-GB" : "vi-VN");
/** The city's clock, whatever the computer's is set to. */
const ZONE = "Asia/Ho_Chi_Minh";

export function number(value: number): string {
  return value.toLocaleString(locale());
}

export function percent(part: number, whole: number): string {
  if (whole === 0) return "–";
  // Whoever joins later is reached too, and counted among those there were at the start.
  const share = Math.min(100, (100 * part) / whole);
  // Never 100 % while one is missing, never 0 % while one is there.
  const shown = part < whole && share > 99.9 ? 99.9 : part > 0 && share < 0.1 ? 0.1 : share;
  const digits = shown === 0 || shown === 100 ? 0 : 1;
  return `${shown.toLocaleString(locale(), { maximumFractionDigits: digits })} %`;
}

export function milliseconds(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 60) {
    return `${seconds.toLocaleString(locale(), { maximumFractionDigits: 1 })} ${t("giây", "s")}`;
  }
  return duration(seconds);
}

/** Hours, minutes and seconds, the two largest that say something. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const days = Math.floor(whole / 86400);
  const hours = Math.floor((whole % 86400) / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  const rest = whole % 60;
  const parts: string[] = [];
  if (days > 0) parts.push(`${days} ${t("ngày", days === 1 ? "day" : "days")}`);
  if (hours > 0) parts.push(`${hours} ${t("giờ", "h")}`);
  if (minutes > 0 && parts.length < 2) parts.push(`${minutes} ${t("phút", "min")}`);
  if (days + hours === 0 && (minutes === 0 || rest > 0) && parts.length < 2) {
    parts.push(`${rest} ${t("giây", "s")}`);
  }
  return parts.slice(0, 2).join(" ");
}

/** A running clock: 0:07, 12:31, 1:02:09. */
export function clock(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (n: number) => String(n).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  return hours > 0
    ? `${hours}:${two(minutes)}:${two(whole % 60)}`
    : `${minutes}:${two(whole % 60)}`;
}

export function time(at: string | Date): string {
  const options = { hour: "2-digit", minute: "2-digit", timeZone: ZONE } as const;
  return new Date(at).toLocaleTimeString(locale(), options);
}

export function timeWithSeconds(at: string | Date): string {
  return new Date(at).toLocaleTimeString(locale(), { timeZone: ZONE });
}

export function dateTime(at: string | Date): string {
  const options = {
    day: "2-digit", month: "2-digit", year: "numeric", hour: "2-digit", minute: "2-digit",
    timeZone: ZONE,
  } as const;
  return new Date(at).toLocaleString(locale(), options);
}

/** How long ago, for what is recent; the date for what is not. */
export function ago(at: string | Date, now: number): string {
  const seconds = (now - new Date(at).getTime()) / 1000;
  if (seconds < 60) return t("vừa xong", "just now");
  const whole = duration(Math.floor(seconds / 60) * 60);
  if (seconds < 86400) return t(`${whole} trước`, `${whole} ago`);
  return dateTime(at);
}

/** A CAP time: whole seconds, with the city's offset. */
export function capTime(at: Date): string {
  const local = new Date(at.getTime() + 7 * 3600_000).toISOString().slice(0, 19);
  return `${local}+07:00`;
}
