// Providers: whether they answer and which credentials are in use, never the secret itself.
import { t } from "../../shared/language";
import { useStore } from "../../shared/store";
import { channelName } from "../compose/Audience";
import { providers } from "../state";
import { healthOf } from "../watch/Providers";
import { useList } from "./useList";
import type { Provider } from "../types";

export function ProvidersState() {
  const [answer] = useList<{ providers: Provider[] }>("/providers");
  const live = useStore(providers);
  const all = (answer?.providers ?? []).map((one) => ({ ...one, ...live.find(({ channel }) => channel === one.channel) }));
  return (
    <section class="panel">
      <h2>{t("Nhà cung cấp", "Providers")}</h2>
      <div class="scroll-x" tabIndex={0} role="region" aria-label={t("Nhà cung cấp", "Providers")}>
        <table class="plain as-cards">
          <thead><tr><th scope="col">{t("Kênh", "Channel")}</th><th scope="col">{t("Tình trạng", "State")}</th><th scope="col">{t("Ứng dụng", "Apps")}</th><th scope="col">{t("Chứng thực (không bao giờ là bí mật)", "Credentials (never the secret)")}</th></tr></thead>
          <tbody>
            {all.map((provider) => {
              const health = healthOf(provider);
              return (
                <tr key={provider.channel}>
                  <th scope="row">{channelName(provider.channel)} {provider.simulated && <span class="flag warn">{t("giả lập", "simulated")}</span>}</th>
                  <td><span class={`lamp ${health.kind}`} aria-hidden="true" /> {health.words}</td>
                  <td class="wide">{(provider.apps ?? []).join(", ") || "–"}</td><td class="mono wide">{provider.credentials ?? "–"}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
    </section>
  );
}
