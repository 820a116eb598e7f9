// Debian's Chromium, driven by Playwright: nothing of it calls anywhere.
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { extname, join } from "node:path";
import { chromium } from "playwright-core";
import { PASSWORD } from "./node.mjs";

const FOUND = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const DIST = new URL("../../dist/", import.meta.url).pathname;
const KINDS = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".png": "image/png", ".woff2": "font/woff2", ".webmanifest": "application/manifest+json" };
const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export async function launch() {
  const executablePath = process.env.CHROMIUM ?? FOUND.find((path) => existsSync(path));
  if (!executablePath) throw new Error("there is no Chromium: deploy/setup.sh test installs it, or name one in CHROMIUM");
  return chromium.launch({
    executablePath,
    // Pages that do not come from the program count as a stranger's to the browser.
    args: [...(process.env.LOA_PAGES === "dist" ? ["--disable-features=LocalNetworkAccessChecks"] : []), "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"],
  });
}

/** A person's own browser: nothing shared with another. Faults of the page fail the test at its end. */
export async function person(browser, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, locale: "vi-VN", timezoneId: "Asia/Ho_Chi_Minh", ...options });
  if (process.env.LOA_PAGES === "dist") await context.route("**/*", fromDist);
  const page = await context.newPage();
  page.faults = [];
  page.on("pageerror", (error) => page.faults.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error" && /Content Security Policy|Refused to/.test(message.text())) page.faults.push(message.text());
  });
  return page;
}

/** While the pages are worked on: what was built last, not what the program holds. */
async function fromDist(route) {
  const { pathname } = new URL(route.request().url());
  if (pathname.startsWith("/v1/") || pathname === "/plain") return route.fallback();
  const page = pathname === "/" || pathname.startsWith("/alerts/") ? "index.html" : pathname.startsWith("/console") ? "console/index.html" : pathname;
  const path = join(DIST, page);
  if (!existsSync(path)) return route.fallback();
  return route.fulfill({ body: readFileSync(path), contentType: KINDS[extname(path)] ?? "text/plain" });
}

export async function login(page, node, who, password = PASSWORD) {
  await page.goto(`${node.url}/console`);
  await page.locator("[name=person]").fill(who);
  await page.locator("[name=password]").fill(password);
  await page.getByRole("button", { name: /^(Đăng nhập|Log in)$/ }).click();
  await page.locator("nav.rail").waitFor();
}

/** Waits until something holds here, beside the page. */
export async function until(holds, ms = 15_000, step = 50) {
  for (const end = Date.now() + ms; !(await holds()); ) {
    if (Date.now() > end) throw new Error(`not in ${ms} ms: ${holds}`);
    await new Promise((done) => setTimeout(done, step));
  }
}

/**
 * What axe finds that is serious or worse. Names on the map have an outline of the other brightness,
 * which axe does not see; each is in its unit's own label too.
 */
export async function axe(page) {
  await page.evaluate(axeSource);
  const { violations } = await page.evaluate(() =>
    window.axe.run({ exclude: [[".labels"]] }, { resultTypes: ["violations"], runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"] }));
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map((node) => `${node.target} ${node.any[0]?.message ?? ""}`).join(" | ")}`);
}

/** Starts to note every task of the page's main thread. */
export function watchTasks(browser, page) {
  return browser.startTracing(page, { categories: ["-*", "toplevel", "disabled-by-default-devtools.timeline", "__metadata"] });
}

/**
 * The page's tasks from then to now that took over 50 ms, in milliseconds of the processor: on a
 * machine that is busy with other things a task waits, and that is no fault of the page.
 */
export async function longTasks(browser) {
  const { traceEvents } = JSON.parse((await browser.stopTracing()).toString());
  const main = traceEvents.filter(({ name, args }) => name === "thread_name" && args.name === "CrRendererMain");
  const threads = new Set(main.map(({ pid, tid }) => `${pid} ${tid}`));
  const tasks = traceEvents.filter((one) => one.name === "RunTask" && one.ph === "X" && threads.has(`${one.pid} ${one.tid}`));
  if (tasks.length === 0 || tasks.every(({ tdur }) => tdur === undefined)) throw new Error("the trace holds no tasks");
  return tasks.map(({ tdur, dur }) => Math.round((tdur ?? dur) / 1000)).filter((ms) => ms > 50).sort((a, b) => b - a);
}
