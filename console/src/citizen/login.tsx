// Login with the city's identity provider: the node sends the browser there and takes it back, and a
// session's cookie, which no script sees, says who it is. Only what proves our own page is kept here.
import { useEffect } from "preact/hooks";
import { t } from "../shared/language";
import { useStore } from "../shared/store";
import { ask, device, proof, session } from "./device";
import type { Config } from "./types";

export function LoginLink({ config }: { config: Config | null }) {
  const inside = useStore(session) !== null;
  const login = config?.oidc?.login;
  useEffect(() => {
    if (login && !inside) void findSession();
  }, [login]);
  if (inside) {
    const leave = () => void release().then(() => ask("POST", "/v1/logout", undefined, proof())).finally(() => location.reload());
    return <p><button type="button" onClick={leave}>{t("Đăng xuất", "Log out")}</button></p>;
  }
  if (!login) return null;
  return <p><a class="button" href={login}>{t("Đăng nhập để xem phản ánh 1022 và hồ sơ", "Log in to see your reports and dossiers")}</a></p>;
}

/** The browser may be shared: whoever comes next must not read this citizen's letters. */
async function release(): Promise<void> {
  const mine = device.get();
  if (mine) await ask("POST", `/v1/devices/${mine.id}/release`);
}

/** Finds out whether this browser is logged in; if it is, its device becomes the citizen's. */
async function findSession(): Promise<void> {
  const found = await ask<{ csrf: string }>("GET", "/v1/session", undefined, {}).catch(() => null);
  if (found === null) return;
  const mine = device.get();
  const own = { "X-Loa-Csrf": found.csrf };
  if (mine) await ask("POST", `/v1/devices/${mine.id}/claim`, { secret: mine.secret }, own).catch(() => undefined);
  session.set(found.csrf);
}
