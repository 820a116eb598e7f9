// Providers: whether they answer and which credentials are in use, never the secret itself.
import { t } from "../../shared/language";
import { useStore } from "../../shared/store";
import { channelName } from "../compose/Audience";
import { providers } from "../state";
import { healthOf } from "../watch/Providers";
import { useList } from "./useList";
import type { Credentials, Provider } from "../types";

/** Which credentials, in words; names of keys and files, never the secret. */
function credentialsOf(of: Credentials | null | undefined): string {
  if (!of) return "–";
  const what = {
    token_key: t(`khóa ${of.key_id} của nhóm ${of.team_id}`, `key ${of.key_id} of team ${of.team_id}`),
    certificate: t("chứng thư", "certificate"),
    each_app: t("mỗi ứng dụng một bộ riêng", "each app has its own"),
    service_account: t("tài khoản dịch vụ", "service account"),
    workload_identity: t("danh tính của máy chủ", "workload identity"),
    vapid_key: t("khóa VAPID", "VAPID key"),
  }[of.kind];
  const whence = {
    file: t(`từ tệp ${of.file}`, `from ${of.file}`),
    settings: t("từ cài đặt", "from the settings"),
    platform: "",
    node: t("do máy chủ tự tạo", "made by the node"),
  }[of.source];
  return [what, of.kind === "each_app" ? "" : whence].filter(Boolean).join(", ");
}

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
                  <td class="wide">{(provider.apps ?? []).join(", ") || "–"}</td><td class="wide">{credentialsOf(provider.credentials)}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
    </section>
  );
}
