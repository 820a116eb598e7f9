// Whether the providers answer.
import { number } from "../../shared/format";
import { t } from "../../shared/language";
import { useStore } from "../../shared/store";
import { channelName } from "../compose/Audience";
import { providers } from "../state";
import type { Provider } from "../types";

/** From this many failures in a row a provider counts as down. */
const DOWN_FROM = 5;

export function healthOf(provider: Provider): { kind: "good" | "warn" | "bad"; words: string } {
  if (provider.configured === false) return { kind: "warn", words: t("chưa cấu hình", "not set up") };
  if (provider.misconfigured) return { kind: "bad", words: t("cấu hình sai – cần người sửa", "misconfigured – a person must act") };
  if (provider.consecutive_failures >= DOWN_FROM) return { kind: "bad", words: t(`không trả lời (${provider.consecutive_failures} lần liên tiếp)`, `failing (${provider.consecutive_failures} in a row)`) };
  if (provider.consecutive_failures > 0) return { kind: "warn", words: t(`chập chờn (${provider.consecutive_failures})`, `unsteady (${provider.consecutive_failures})`) };
  if (provider.removal_paused) return { kind: "warn", words: t("tạm dừng xóa địa chỉ", "removal of addresses paused") };
  return { kind: "good", words: t("tốt", "well") };
}

export function Providers() {
  const all = useStore(providers);
  if (all.length === 0) return <p class="hint">{t("Chưa có tin về nhà cung cấp.", "No word of the providers yet.")}</p>;
  return (
    <ul class="providers">
      {all.map((provider) => {
        const health = healthOf(provider);
        return (
          <li key={provider.channel}>
            <span class={`lamp ${health.kind}`} aria-hidden="true" />
            <b>{channelName(provider.channel)}</b>
            <span>{health.words}</span>
            {provider.simulated && <span class="flag warn">{t("giả lập", "simulated")}</span>}
            <small>
              {provider.in_flight !== undefined && t(`${number(provider.in_flight)} đang bay`, `${number(provider.in_flight)} in flight`)}
              {provider.per_second !== undefined && ` · ${number(Math.round(provider.per_second))}/s`}
            </small>
          </li>
        );
      })}
    </ul>
  );
}
