// Pictures of every page at three widths in both themes, to be looked at:
// node dev/shots.mjs http://127.0.0.1:5173 FOLDER [page …]
import { chromium } from "playwright-core";
import { mkdirSync } from "node:fs";

const [, , base, folder, ...only] = process.argv;
const WIDTHS = (process.env.WIDTHS ?? "360,1280,1920").split(",").map(Number);
const THEMES = (process.env.THEMES ?? "light,dark").split(",");
const PERSON = process.env.PERSON ?? "ops";
const PASSWORD = process.env.PASSWORD ?? "x";
mkdirSync(folder, { recursive: true });

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"],
});

const PAGES = {
  login: { path: "/console", out: true },
  watch: { path: "/console/watch" },
  compose: { path: "/console/compose", act: fillCompose },
  notice: { path: "/console/compose?kind=notice" },
  approve: { path: "/console/approve", act: (page) => page.locator(".list-pane a.card").first().click() },
  prove: { path: "/console/prove" },
  audit: { path: "/console/prove/audit" },
  report: { path: "/console/prove", act: (page) => page.locator("table.history a").first().click() },
  drill: { path: "/console/drill" },
  people: { path: "/console/manage/people" },
  agencies: { path: "/console/manage/agencies" },
  providers: { path: "/console/manage/providers" },
  letters: { path: "/console/manage/letters" },
  boundaries: { path: "/console/manage/boundaries" },
  citizen: { path: "/", out: true },
  past: { path: "/#past", out: true },
  settings: { path: "/#settings", out: true },
};

async function fillCompose(page) {
  await page.locator(".tile").first().click();
  const search = page.locator(".search input");
  for (const name of ["sai gon", "ben thanh", "xom chieu"]) {
    await search.fill(name);
    await search.press("Enter");
  }
  await page.waitForTimeout(700);
}

for (const width of WIDTHS) {
  for (const theme of THEMES) {
    const context = await browser.newContext({
      viewport: { width, height: width < 500 ? 780 : width > 1900 ? 1080 : 800 }, colorScheme: theme, locale: "vi-VN", isMobile: width < 500, hasTouch: width < 500,
    });
    const page = await context.newPage();
    page.on("console", (message) => message.type() === "error" && console.log("console:", message.text()));
    page.on("pageerror", (error) => console.log("page:", error.message));
    let inside = false;
    for (const [name, { path, out, act }] of Object.entries(PAGES)) {
      if (only.length > 0 && !only.includes(name)) continue;
      if (!out && !inside) {
        await page.goto(`${base}/console`);
        await page.locator("[name=person]").fill(PERSON);
        await page.locator("[name=password]").fill(PASSWORD);
        await page.getByRole("button", { name: /Đăng nhập|Log in/ }).click();
        await page.locator(".rail").waitFor();
        inside = true;
      }
      await page.goto(base + path);
      await page.waitForTimeout(900);
      if (act) await act(page).catch((error) => console.log(name, error.message.split("\n")[0]));
      await page.waitForTimeout(500);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      if (wide > 0) console.log(`${name} at ${width}: ${wide} px too wide`);
      await page.screenshot({ path: `${folder}/${name}-${width}-${theme}.png`, fullPage: width < 500 || name === "compose" });
    }
    await context.close();
  }
}
await browser.close();
