// Every page in both themes: axe finds nothing serious, nothing is wider than a small phone.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
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

async function look(page, path) {
  await page.goto(node.url + path);
  await page.locator("h1").first().waitFor();
  await page.waitForTimeout(600);
  assert.deepEqual(await axe(page), [], path);
}

async function fits(page, path) {
  const over = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  assert.ok(over <= 0, `${path} is ${over} px wider than the screen`);
}

for (const colorScheme of ["light", "dark"]) {
  test(`the console, ${colorScheme}`, async () => {
    const page = await person(browser, { colorScheme });
    await page.goto(`${node.url}/console`);
    await page.locator("[name=person]").waitFor();
    assert.deepEqual(await axe(page), [], "login");
    await login(page, node, "minh");
    for (const name of [...PAGES, `watch/${id}`, `report/${id}`]) await look(page, `/console/${name}`);
    await page.goto(`${node.url}/console/compose`);
    await page.locator(".tile").first().click();
    await page.locator(".search input").fill("sai gon");
    await page.locator(".search input").press("Enter");
    await page.locator(".audience").waitFor();
    assert.deepEqual(await axe(page), [], "compose, filled");
    assert.deepEqual(page.faults, []);
  });

  test(`the citizens' page, ${colorScheme}`, async () => {
    const page = await person(browser, { colorScheme, viewport: { width: 360, height: 740 } });
    for (const path of [...CITIZEN, `/alerts/${id}`]) {
      await look(page, path);
      await fits(page, path);
    }
    assert.deepEqual(page.faults, []);
  });
}

test("the console fits 360 pixels", async () => {
  const page = await person(browser, { viewport: { width: 360, height: 740 } });
  await login(page, node, "minh");
  for (const name of [...PAGES, `watch/${id}`, `report/${id}`]) {
    await page.goto(`${node.url}/console/${name}`);
    await page.locator("h1").first().waitFor();
    await page.waitForTimeout(400);
    await fits(page, name);
  }
});
