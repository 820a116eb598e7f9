// Login with the city's identity provider: the browser goes there and comes back with a token in the
// fragment, which no server sees. It is kept for this window only.
import { t } from "../shared/language";
import { ask, device } from "./device";
import type { Config } from "./types";

const NONCE = "loa.nonce";

export function LoginLink({ config }: { config: Config | null }) {
  const inside = sessionStorage.getItem("loa.bearer") !== null;
  if (inside) {
    const leave = () => {
      sessionStorage.removeItem("loa.bearer");
      location.reload();
    };
    return <p><button type="button" onClick={leave}>{t("Đăng xuất", "Log out")}</button></p>;
  }
  if (!config?.oidc) return null;
  const { authorize_url, client_id, scope } = config.oidc;
  const enter = () => {
    const nonce = [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, "0")).join("");
    sessionStorage.setItem(NONCE, nonce);
    const url = new URL(authorize_url);
    const query = { response_type: "id_token", client_id: client_id ?? "loa", scope: scope ?? "openid", nonce, state: nonce, redirect_uri: `${location.origin}/` };
    for (const [key, value] of Object.entries(query)) url.searchParams.set(key, value);
    location.href = url.href;
  };
  return <p><button type="button" onClick={enter}>{t("Đăng nhập để xem phản ánh 1022 và hồ sơ", "Log in to see your reports and dossiers")}</button></p>;
}

/** Takes the token a login came back with out of the address, where it must not stay. */
export function finishLogin(): void {
  if (!location.hash.includes("id_token=")) return;
  const found = new URLSearchParams(location.hash.slice(1));
  history.replaceState(null, "", "/#inbox");
  const token = found.get("id_token");
  if (token === null || found.get("state") !== sessionStorage.getItem(NONCE)) return;
  sessionStorage.setItem("loa.bearer", token);
  const mine = device.get();
  if (mine) void ask("POST", `/v1/devices/${mine.id}/claim`, { secret: mine.secret }).catch(() => undefined);
}
