// Every page in pictures, at four widths in both themes, to be looked at; and a sheet of each page.
// node console/e2e/screens.mjs FOLDER [page …]
//   WIDTHS=360,1440 THEMES=dark LOA_LANG=en CITIZENS=20000
// DOCS=1 renews docs/console.png and docs/citizen.png from what was taken (widths 360 and 1440, both themes).
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { launch, login, person } from "./support/browser.mjs";
import { Desk, fill } from "./support/desk.mjs";
import { Node } from "./support/node.mjs";

const [, , target, ...only] = process.argv;
if (!target) throw new Error("name a folder for the pictures");
const folder = resolve(target);
const list = (name, fallback) => (process.env[name] ?? fallback).split(",");
const WIDTHS = list("WIDTHS", "360,820,1440,1920").map(Number);
const THEMES = list("THEMES", "light,dark");
const LANG = process.env.LOA_LANG ?? "vi";
const HEIGHTS = { 360: 760, 820: 1180, 1440: 900, 1920: 1080 };
mkdirSync(folder, { recursive: true });

const PAGES = {
  login: { path: "/console", out: true },
  watch: { path: (city) => `/console/watch/${city.flood}` },
  survey: { path: (city) => `/console/watch/${city.survey}` },
  compose: { path: "/console/compose", act: compose, whole: true },
  confirm: { path: "/console/compose", act: confirm },
  notice: { path: "/console/compose?kind=notice", act: (page) => page.getByLabel(/Khảo sát|Survey/).check(), whole: true },
  approve: { path: "/console/approve", act: (page) => page.locator(".list-pane a.card").first().click() },
  waiting: { path: "/console/approve" },
  prove: { path: "/console/prove" },
  audit: { path: "/console/prove/audit" },
  report: { path: (city) => `/console/report/${city.flood}`, whole: true },
  drill: { path: "/console/drill" },
  people: { path: "/console/manage/people" },
  person: { path: "/console/manage/people", act: (page) => page.locator("tbody button").first().click() },
  agencies: { path: "/console/manage/agencies" },
  requests: { path: "/console/manage/requests" },
  providers: { path: "/console/manage/providers" },
  letters: { path: "/console/manage/letters" },
  boundaries: { path: "/console/manage/boundaries" },
  citizen: { path: "/", out: true },
  home: { path: "/", out: true, act: settle, whole: true },
  alert: { path: (city) => `/alerts/${city.flood}`, out: true, act: openMap, whole: true },
  past: { path: "/#past", out: true },
  inbox: { path: "/#inbox", out: true, whole: true },
  settings: { path: "/#settings", out: true, whole: true },
  offline: { path: "/", out: true, act: cut },
  plain: { path: "/plain", out: true },
};

async function compose(page) {
  await page.locator(".tile").first().click();
  const search = page.locator(".search input");
  for (const name of ["sai gon", "ben thanh", "xom chieu"]) {
    await search.fill(name);
    await search.press("Enter");
  }
  await page.locator(".audience[aria-busy=false]").waitFor();
}

async function confirm(page) {
  await compose(page);
  await page.getByRole("button", { name: /^(Trình duyệt|Submit)…$/ }).click();
}

async function settle(page) {
  const search = page.locator("input[type=search]");
  if ((await search.count()) === 0) return;
  await search.fill("sai gon");
  await page.locator(".found button").first().click();
  await page.locator("[data-line=websocket]").waitFor();
}

async function openMap(page) {
  const more = page.locator(".area-map summary");
  if ((await more.count()) > 0) await more.click();
}

async function cut(page) {
  await page.context().setOffline(true);
  await page.locator(".line.is-off").waitFor({ timeout: 20_000 }).catch(() => undefined);
}

const browser = await launch();
const node = new Node();
try {
  await node.demo(Number(process.env.CITIZENS ?? 20_000));
  const password = (who) => node.output.match(new RegExp(`log in as ${who} .*password (\\S+)`))[1];
  const [writer, approver] = await Promise.all(["lan", "minh"].map((who) => Desk.login(node, who, password(who))));
  const city = await fill(node, { agency: "demo", writer, approver });
  const pages = Object.entries(PAGES).filter(([name]) => only.length === 0 || only.includes(name));
  for (const width of WIDTHS) for (const theme of THEMES) await shoot(pages, { width, theme, city, password: password("minh") });
  for (const [name] of pages) await sheet(name);
  if (process.env.DOCS) await documents();
} finally {
  await browser.close();
  await node.end();
}

async function shoot(pages, { width, theme, city, password }) {
  const page = await person(browser, {
    viewport: { width, height: HEIGHTS[width] ?? 900 }, colorScheme: theme, isMobile: width < 500, hasTouch: width < 900,
  });
  page.setDefaultTimeout(8_000);
  await page.addInitScript((lang) => localStorage.setItem("loa.language", lang), LANG);
  let inside = false;
  for (const [name, { path, out, act, whole }] of pages) {
    if (!out && !inside) {
      await login(page, node, "minh", password);
      inside = true;
    }
    await page.goto(node.url + (typeof path === "function" ? path(city) : path));
    await page.locator("h1").first().waitFor();
    await page.locator(".loading").first().waitFor({ state: "detached" }).catch(() => undefined);
    if (act) await act(page).catch((error) => console.log(name, width, error.message.split("\n")[0]));
    await page.evaluate(() => document.fonts.ready);
    await page.evaluate(() => new Promise((done) => setTimeout(done, 350)));
    const wide = await page.evaluate(() => document.documentElement.scrollWidth) - width;
    if (wide > 0) console.log(`${name} at ${width}: ${wide} px too wide`);
    await page.screenshot({ path: join(folder, `${name}-${width}-${theme}.png`), fullPage: whole ?? width < 500 });
    await page.context().setOffline(false);
  }
  for (const fault of page.faults) console.log("fault:", fault);
  await page.context().close();
}

/** The pictures of one page beside each other. */
async function sheet(name) {
  const images = THEMES.map((theme) => WIDTHS.map((width) => `<img src="${name}-${width}-${theme}.png" style="width:${Math.round(width * 0.42)}px">`).join(" "));
  const html = join(folder, `${name}.html`);
  writeFileSync(html, `<body style="margin:8px;background:#888;white-space:nowrap;display:grid;gap:8px">${images.map((row) => `<div style="display:flex;gap:8px;align-items:start">${row}</div>`).join("")}`);
  const page = await browser.newPage({ viewport: { width: 60 + WIDTHS.reduce((sum, width) => sum + width * 0.42 + 8, 0) | 0, height: 600 } });
  await page.goto(`file://${html}`);
  await page.screenshot({ path: join(folder, `sheet-${name}.png`), fullPage: true });
  await page.close();
}

/** The pictures of the README: a desk that watches, and three phones. */
async function documents() {
  const docs = new URL("../../docs/", import.meta.url).pathname;
  copyFileSync(join(folder, "watch-1440-light.png"), join(docs, "console.png"));
  const phones = ["home-360-light", "alert-360-dark", "inbox-360-light"];
  const html = join(folder, "phones.html");
  const frame = (name) => `<div style="width:360px;height:760px;overflow:hidden;border-radius:28px;border:8px solid #10222c"><img src="${name}.png" style="display:block"></div>`;
  writeFileSync(html, `<body style="margin:0;padding:24px;display:flex;gap:24px;background:#dfeaf0">${phones.map(frame).join("")}`);
  const page = await browser.newPage({ viewport: { width: 1224, height: 824 } });
  await page.goto(`file://${html}`);
  await page.screenshot({ path: join(docs, "citizen.png") });
  await page.close();
}
