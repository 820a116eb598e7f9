// A citizen logs in with the city's identity provider, in a browser: the inbox is theirs, and no
// longer when they leave.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { axe, launch, person, until } from "./support/browser.mjs";
import { freePort, keyOf, Node } from "./support/node.mjs";
import { Provider } from "./support/provider.mjs";

/** What the provider calls the citizen: an identity number, which must be nowhere with us. */
const NUMBER = "079090000001";

let browser, node, provider, key;

before(async () => {
  node = new Node();
  node.port = await freePort();
  provider = await Provider.start(node.url);
  node.people("bch", [["minh", "Trần Quang Minh", "write,approve"]]);
  await node.serve(node.file("loa.toml", provider.settings()));
  key = keyOf(node, "bch");
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await node?.end();
  provider?.end();
});

async function tell(subject, change) {
  const response = await fetch(`${node.url}/v1/status-changes`, {
    method: "POST", headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json" },
    body: JSON.stringify({ changes: [{ kind: "report-1022", subject, changed_at: new Date().toISOString(), ...change }] }),
  });
  assert.equal(response.status, 202, await response.text());
}

test("logs in at the provider, reads their own reports in the inbox, and leaves nothing behind", async () => {
  const page = await person(browser, { viewport: { width: 390, height: 800 } });
  await page.goto(`${node.url}/`);
  await page.locator("input[type=search]").fill("sai gon");
  await page.locator(".found button", { hasText: "Sài Gòn" }).first().click();
  await page.locator("[data-line=websocket]").waitFor();
  await page.getByRole("link", { name: "Hộp thư" }).click();
  await page.getByRole("link", { name: "Đăng nhập để xem phản ánh 1022 và hồ sơ" }).click();

  // The provider's own pages: a name, then consent.
  await page.waitForURL(`${provider.issuer}/**`);
  await page.locator("input[name=login]").fill(NUMBER);
  await page.locator("input[name=password]").fill("x");
  await page.locator("button[type=submit]").click();
  await page.locator("input[name=login]").waitFor({ state: "detached" });
  await page.locator("button[type=submit]").click();

  await page.waitForURL(`${node.url}/#inbox`);
  await page.getByRole("button", { name: "Đăng xuất" }).waitFor();
  const me = await (await page.request.get(`${node.url}/v1/me`)).json();
  assert.ok(me.subject && !JSON.stringify(me).includes(NUMBER));
  await tell(me.subject, { reference: "1022-2026-1", state: "assigned", step: 2, remark: "Công ty Thoát nước đã nhận" });
  const letter = page.locator(".letter", { hasText: "1022-2026-1" });
  // On a slow line the words for its state come after it: its code is never shown meanwhile.
  await page.route("**/v1/status-kinds", async (route) => { await new Promise((done) => setTimeout(done, 1_000)); await route.continue(); });
  await page.reload();
  await letter.waitFor();
  assert.ok(!(await letter.innerText()).includes("assigned"));
  await letter.getByText("Đã chuyển đơn vị xử lý").waitFor();
  const words = await letter.innerText();
  for (const said of ["Phản ánh 1022", "Đã chuyển đơn vị xử lý", "Công ty Thoát nước", "Ban Chỉ huy PCTT"]) {
    assert.ok(words.includes(said), `${said} in ${words}`);
  }
  assert.deepEqual(await axe(page), []);
  // Another's is not there, and no script can read the session.
  await tell("another-citizen", { reference: "1022-2026-2", state: "received", step: 1 });
  await page.reload();
  await letter.waitFor();
  assert.equal(await page.getByText("1022-2026-2").count(), 0);
  assert.equal(await page.evaluate(() => document.cookie), "");

  await page.getByRole("button", { name: "Đăng xuất" }).click();
  await page.getByRole("link", { name: /Đăng nhập/ }).waitFor();
  await until(async () => (await page.getByText("1022-2026-1").count()) === 0);
  assert.equal((await page.request.get(`${node.url}/v1/session`)).status(), 401);
  assert.deepEqual(page.faults, []);
});
