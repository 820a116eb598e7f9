// The way in: with a password, at the identity provider, or either, as the node says.
import { useEffect, useState } from "preact/hooks";
import { t } from "../shared/language";
import { get, wordsOf } from "./api";
import { login } from "./state";
import { Preferences } from "./Preferences";

interface Ways { password: boolean; provider?: string }

export function LoginPage() {
  // Until the node has said, the way that nearly every node has.
  const [ways, setWays] = useState<Ways>({ password: true });
  useEffect(() => {
    get<Ways>("/login").then(setWays, () => undefined);
  }, []);
  const [person, setPerson] = useState("");
  const [password, setPassword] = useState("");
  const [error, setError] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const enter = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    await login(person.trim(), password).catch((reason: unknown) => setError(wordsOf(reason)));
    setBusy(false);
  };
  return (
    <main class="login">
      <form class="panel" onSubmit={(event) => void enter(event)}>
        <p class="brand"><img src="/icon.svg" alt="" width="40" height="40" /> <span>Loa</span></p>
        <h1>{t("Bàn điều hành cảnh báo", "Alert operations")}</h1>
        {ways.provider && <a class={ways.password ? "button" : "button primary"} href={ways.provider}>{t("Đăng nhập bằng tài khoản thành phố", "Log in with the city's account")}</a>}
        {ways.password && <>
        <label class="field"><span>{t("Tên đăng nhập", "Login")}</span><input name="person" autocomplete="username" autocapitalize="none" required value={person} onInput={(event) => setPerson(event.currentTarget.value)} /></label>
        <label class="field"><span>{t("Mật khẩu", "Password")}</span><input name="password" type="password" autocomplete="current-password" required value={password} onInput={(event) => setPassword(event.currentTarget.value)} /></label>
        {error && <p class="note bad" role="alert">{error}</p>}
        <button type="submit" class="primary" disabled={busy}>{t("Đăng nhập", "Log in")}</button>
        </>}
        <p class="hint">{t("Người dân xem cảnh báo tại", "Citizens see alerts at")} <a href="/">{location.host}</a>.</p>
      </form>
      <Preferences />
    </main>
  );
}
