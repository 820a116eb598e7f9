// Every page in each theme, language and width: axe finds nothing serious, nothing is wider than a
// small phone.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { axe, launch, login, person } from "./support/browser.mjs";
import { alert, keyOf, Node, publish } from "./support/node.mjs";

const PAGES = [
  "watch", "compose", "compose?kind=notice", "approve", "prove", "prove/audit", "drill", "manage/people",
  "manage/agencies", "manage/requests", "manage/providers", "manage/boundaries", "manage/letters",
];
const CITIZEN = ["/", "/#past", "/#inbox", "/#settings"];

let browser, node, id;

before(async () => {
  node = new Node();
  node.people("bch", [["minh", "Trần Quang Minh", "write,approve,override,operate,admin"]]);
  await node.serve();
  id = await publish(node, keyOf(node, "bch"), alert(["26740", "26743"]));
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await node?.end();
});

const PHONE = { width: 360, height: 740 };
const WALL = { width: 1440, height: 900 };
const WAYS = ["light", "dark"].flatMap((colorScheme) => ["vi", "en"].flatMap((lang) =>
  [PHONE, WALL].map((viewport) => ({ colorScheme, lang, viewport }))));

async function someone({ colorScheme, lang, viewport }) {
  const page = await person(browser, { colorScheme, viewport, reducedMotion: "reduce" });
  await page.addInitScript((one) => localStorage.setItem("loa.language", one), lang);
  return page;
}

async function look(page, path, { width } = page.viewportSize()) {
  await page.goto(node.url + path);
  await page.locator("h1").first().waitFor();
  await page.locator(".loading").first().waitFor({ state: "detached" });
  await page.evaluate(() => document.fonts.ready.then(() => new Promise((done) => requestIdleCallback(done))));
  assert.deepEqual(await axe(page), [], path);
  const over = await page.evaluate(() => document.documentElement.scrollWidth) - width;
  assert.ok(over <= 0, `${path} is ${over} px wider than the screen`);
}

// Two at a time: axe reckons in the pages, the node has little to do.
describe("every page", { concurrency: 2 }, () => {
  for (const way of WAYS) {
    const name = `${way.colorScheme}, ${way.lang}, ${way.viewport.width} px`;
    test(`the console, ${name}`, async () => {
      const page = await someone(way);
      await page.goto(`${node.url}/console`);
      await page.locator("[name=person]").waitFor();
      assert.deepEqual(await axe(page), [], "login");
      await login(page, node, "minh");
      for (const path of [...PAGES, `watch/${id}`, `report/${id}`]) await look(page, `/console/${path}`);
      await page.goto(`${node.url}/console/compose`);
      await page.locator(".tile").first().click();
      await page.locator(".search input").fill("sai gon");
      await page.locator(".search [role=option]").first().waitFor();
      await page.locator(".search input").press("Enter");
      await page.locator(".audience[aria-busy=false]").waitFor();
      assert.deepEqual(await axe(page), [], "compose, filled");
      await page.locator(".action-bar button.primary:not([disabled])").click();
      await page.getByRole("dialog").waitFor();
      assert.deepEqual(await axe(page), [], "the question before it goes");
      assert.deepEqual(page.faults, []);
    });

    test(`the citizens' page, ${name}`, async () => {
      const page = await someone(way);
      for (const path of [...CITIZEN, `/alerts/${id}`]) await look(page, path);
      await page.locator(".area-map summary").click();
      await page.locator(".area-map path.whole").first().waitFor();
      assert.deepEqual(await axe(page), [], "the map");
      assert.deepEqual(page.faults, []);
    });
  }
});
