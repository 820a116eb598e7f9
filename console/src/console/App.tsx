// The frame around every page: where one can go, what must not be forgotten, who is logged in.
import { t, language } from "../shared/language";
import { useStore } from "../shared/store";
import { timeWithSeconds } from "../shared/format";
import { ApprovePage } from "./approve/ApprovePage";
import { ComposePage } from "./compose/ComposePage";
import { LoginPage } from "./LoginPage";
import { DrillPage } from "./manage/DrillPage";
import { ManagePage } from "./manage/ManagePage";
import { Preferences } from "./Preferences";
import { ProvePage } from "./prove/ProvePage";
import { ReportPage } from "./prove/ReportPage";
import { follow, route } from "./router";
import { agencies, connected, drafts, logout, may, people, rows, session, toasts, units } from "./state";
import { TopFlags } from "./ui/Flags";
import { Icon } from "./ui/Icon";
import { useNow } from "./ui/useNow";
import { WatchPage } from "./watch/WatchPage";

export function App() {
  const now = useStore(session);
  useStore(language);
  if (now === undefined) return <p class="loading">{t("Đang tải…", "Loading…")}</p>;
  if (now === null) return <LoginPage />;
  return (
    <div class="shell" onClick={follow}>
      <a class="skip" href="#main">{t("Đến nội dung", "Skip to the content")}</a>
      <TopBar />
      <Navigation />
      <main id="main" tabIndex={-1}><Page /></main>
      <Toasts />
    </div>
  );
}

function Page() {
  const { page } = useStore(route);
  // Names come after the page: whatever says a code until then says the name now.
  useStore(units);
  useStore(agencies);
  useStore(people);
  switch (page) {
    case "compose": return <ComposePage />;
    case "approve": return <ApprovePage />;
    case "prove": return <ProvePage />;
    case "report": return <ReportPage />;
    case "drill": return <DrillPage />;
    case "manage": return <ManagePage />;
    default: return <WatchPage />;
  }
}

function Navigation() {
  const { page } = useStore(route);
  const waiting = useStore(drafts).filter(({ state }) => state === "submitted").length;
  const live = useStore(rows).filter(({ state }) => state === "live").length;
  const parts: [string, string, number, boolean][] = [
    ["watch", t("Theo dõi", "Watch"), live, true],
    ["compose", t("Soạn", "Compose"), 0, may("write")],
    ["approve", t("Duyệt", "Approve"), waiting, true],
    ["prove", t("Lịch sử", "Prove"), 0, true],
    ["drill", t("Diễn tập", "Drill"), 0, true],
    ["manage", t("Quản lý", "Manage"), 0, may("admin") || may("operate")],
  ];
  const current = page === "report" ? "prove" : page;
  return (
    <nav class="rail" aria-label={t("Chính", "Main")}>
      {parts.filter(([, , , shown]) => shown).map(([name, words, count]) => (
        <a key={name} href={`/console/${name}`} aria-current={name === current ? "page" : undefined}>
          <Icon name={name} /><span>{words}</span>
          {count > 0 && <b class="badge" aria-label={t(`${count} mục`, `${count} items`)}>{count}</b>}
        </a>
      ))}
    </nav>
  );
}

function TopBar() {
  const now = useStore(session)!;
  const up = useStore(connected);
  const time = useNow(1000);
  return (
    <header class="top">
      <a class="brand" href="/console/watch"><img src="/icon.svg" alt="" width="28" height="28" /> <span>Loa</span></a>
      <div class="flags"><TopFlags /></div>
      <span class="grow" />
      {!up && <span class="flag bad" role="status">{t("Mất kết nối – đang nối lại", "Connection lost – reconnecting")}</span>}
      <time class="clock wide-only" dateTime={new Date(time).toISOString()}>{timeWithSeconds(new Date(time))}</time>
      <Preferences />
      <span class="who"><b>{now.person.name}</b><small>{now.agency.name}</small></span>
      <button type="button" class="quiet" onClick={() => void logout()}>{t("Thoát", "Log out")}</button>
    </header>
  );
}

function Toasts() {
  const all = useStore(toasts);
  return (
    <div class="toasts" role="status" aria-live="polite">
      {all.map((toast) => <p key={toast.id} class={toast.bad ? "toast bad" : "toast"}>{toast.text}</p>)}
    </div>
  );
}
