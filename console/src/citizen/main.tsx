import { render } from "preact";
import { language } from "../shared/language";
import { applyTheme } from "../shared/theme";
import { App } from "./App";
import { begin } from "./stream";

applyTheme();
document.documentElement.lang = language.get();
const root = document.getElementById("app")!;
root.textContent = "";
render(<App />, root);
begin();

// What is only nice comes when the words are there: the letters' own font on a fast line, and the
// worker that keeps the page for when there is no line at all.
window.addEventListener("load", () => {
  const network = (navigator as { connection?: { saveData?: boolean; effectiveType?: string } }).connection;
  if (!network?.saveData && (network?.effectiveType ?? "4g") === "4g") void import("../shared/fonts.css");
  if ("serviceWorker" in navigator) void navigator.serviceWorker.register("/sw.js").catch(() => undefined);
});
