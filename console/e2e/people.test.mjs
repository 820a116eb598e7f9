// An agency's person logs in to the console with the account that an admin linked to them, in a browser.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { axe, launch, person } from "./support/browser.mjs";
import { freePort, Node } from "./support/node.mjs";
import { Provider } from "./support/provider.mjs";

let browser, node, provider;

before(async () => {
  node = new Node();
  node.port = await freePort();
  provider = await Provider.start(node.url, "/v1/console/login/callback");
  node.people("bch", [["minh", "Trần Quang Minh", "write,approve"]]);
  const config = node.file("loa.toml", `${provider.settings("people")}[console]\npassword_login = false\n`);
  node.run(["people", "link", "minh", "--subject", "minh-at-the-city", "--config", config]);
  await node.serve(config);
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await node?.end();
  provider?.end();
});

test("logs in with the city's account where there are no passwords, in both languages", async () => {
  const page = await person(browser);
  await page.goto(`${node.url}/console/`);
  const way = page.getByRole("link", { name: "Đăng nhập bằng tài khoản thành phố" });
  await way.waitFor();
  assert.equal(await page.locator("input[name=password]").count(), 0);
  assert.deepEqual(await axe(page), []);
  const speak = async (language) => {
    await page.evaluate((one) => localStorage.setItem("loa.language", one), language);
    await page.reload();
  };
  await speak("en");
  await page.getByRole("link", { name: "Log in with the city's account" }).waitFor();
  await speak("vi");

  await way.click();
  await page.waitForURL(`${provider.issuer}/**`);
  await page.locator("input[name=login]").fill("minh-at-the-city");
  await page.locator("input[name=password]").fill("x");
  await page.locator("button[type=submit]").click();
  await page.locator("input[name=login]").waitFor({ state: "detached" });
  await page.locator("button[type=submit]").click();
  await page.waitForURL(`${node.url}/console/**`);
  // Pages of console/dist are not put in the place of what a redirect leads to.
  await page.reload();
  await page.getByText("Trần Quang Minh").first().waitFor();
  assert.deepEqual(page.faults, []);
});
