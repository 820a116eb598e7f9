// A citizen with nothing but a browser: sees, is told live, goes on after the node was away, answers.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, login, person } from "./support/browser.mjs";
import { alert, keyOf, Node, publish } from "./support/node.mjs";

/** Chrome's "slow 3G": 400 kilobits a second, 400 ms a round trip. */
const SLOW = { offline: false, downloadThroughput: 50_000, uploadThroughput: 50_000, latency: 400 };
const FIRST_TEXT_MS = 3_000;
const UNIT = "26740";

let browser, node, key;

before(async () => {
  node = new Node();
  node.people("bch", [["minh", "Trần Quang Minh", "write,approve,override,operate,admin"]]);
  await node.serve();
  key = keyOf(node, "bch");
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await node?.end();
});

async function choosePlace(page) {
  await page.goto(`${node.url}/`);
  await page.locator("input[type=search]").fill("sai gon");
  await page.locator(".found button", { hasText: "Sài Gòn" }).first().click();
  await page.locator("[data-line=websocket]").waitFor();
}

test("told live, resumes after the node was away, answers are counted", async () => {
  const page = await person(browser, { viewport: { width: 390, height: 800 } });
  await choosePlace(page);
  const first = await publish(node, key, alert([UNIT], { headline: "Ngập sâu lần một" }));
  await page.locator(`[data-id="${first}"]`).waitFor();
  assert.match(await page.locator("h1").innerText(), /^1 cảnh báo/);
  await publish(node, key, alert(["26743"], { headline: "Ở nơi khác" }));

  await node.stop();
  await page.locator(".line.is-off").waitFor();
  assert.match(await page.locator(".line.is-off").innerText(), /tin lúc \d/);
  assert.equal(await page.locator(`[data-id="${first}"]`).count(), 1, "what is known stays on the screen");
  await node.serve();
  const second = await publish(node, key, alert([UNIT], { headline: "Ngập sâu lần hai" }));
  await page.locator("[data-line=websocket]").waitFor({ timeout: 90_000 });
  await page.locator(`[data-id="${second}"]`).waitFor();
  assert.equal(await page.locator(`[data-id="${first}"]`).count(), 1, "nothing twice");
  assert.equal(await page.getByText("Ở nơi khác").count(), 0);
  // Nor from the public list: a neighbour's alert is not one's own.
  await page.reload();
  await page.locator(`[data-id="${second}"]`).waitFor();
  await page.locator("[data-line=websocket]").waitFor();
  assert.equal(await page.getByText("Ở nơi khác").count(), 0);
  assert.deepEqual(page.faults, []);
});

test("acknowledges and answers; the operators see it by unit, with the words", async () => {
  const page = await person(browser, { viewport: { width: 390, height: 800 } });
  await choosePlace(page);
  const id = await publish(node, key, alert([UNIT], { headline: "Bạn thế nào?" }));
  const card = page.locator(`[data-id="${id}"]`);
  await card.getByRole("button", { name: "✓ Tôi đã đọc" }).click();
  await card.getByText("Đã ghi nhận bạn đã đọc").waitFor();
  await card.getByRole("button", { name: "Tôi cần giúp" }).click();
  await card.locator(".help-form textarea").fill("Nước ngang ngực");
  await card.getByRole("button", { name: "Gửi: tôi cần giúp" }).click();
  await card.getByText("Đã báo: bạn cần giúp").waitFor();

  const minh = await person(browser);
  await login(minh, node, "minh");
  await minh.goto(`${node.url}/console/watch/${id}`);
  await minh.locator("[data-test=help]", { hasText: /^1$/ }).waitFor();
  await minh.getByText("Nước ngang ngực").waitFor();
  await minh.locator("[data-test=total-acknowledged][data-value='1']").waitFor();
  // The newest answer counts; the screen follows by itself.
  await card.getByRole("button", { name: "Tôi an toàn" }).click();
  await card.getByText("Đã báo: bạn an toàn").waitFor();
  await minh.locator("[data-test=safe]", { hasText: /^1$/ }).waitFor();
  assert.deepEqual([...page.faults, ...minh.faults], []);
});

test("a survey is written in the console, answered by a citizen and counted", async () => {
  const page = await person(browser, { viewport: { width: 390, height: 800 } });
  await choosePlace(page);
  const minh = await person(browser);
  await login(minh, node, "minh");
  await minh.goto(`${node.url}/console/compose?kind=notice`);
  await minh.getByLabel("Khảo sát").check();
  await minh.locator("[name=title-vi]").fill("Sau trận ngập");
  await minh.locator("[name=body-vi]").fill("Hai phút để lần sau tốt hơn.");
  await minh.getByRole("button", { name: "+ Thêm câu hỏi" }).click();
  await minh.getByLabel("Câu hỏi (tiếng Việt)").fill("Bạn có nhận tin kịp không?");
  await minh.getByLabel("Lựa chọn 1 (vi)").fill("Kịp");
  await minh.getByLabel("Lựa chọn 2 (vi)").fill("Không kịp");
  await minh.getByRole("button", { name: "Phát…" }).click();
  await minh.getByRole("dialog").getByRole("button", { name: "Phát", exact: true }).click();
  await minh.locator(".hero h2", { hasText: "Sau trận ngập" }).waitFor();

  await page.getByRole("link", { name: "Hộp thư" }).click();
  await page.locator(".letter", { hasText: "Sau trận ngập" }).waitFor();
  await page.getByLabel("Không kịp").check();
  await page.getByRole("button", { name: "Gửi trả lời" }).click();
  await page.getByText("Cảm ơn bạn đã trả lời").waitFor();
  // The desk's screen follows by itself.
  await minh.locator(".tally li", { hasText: "Không kịp" }).locator("b", { hasText: /^1$/ }).waitFor();
  await minh.getByText("Theo đơn vị (1)").click();
  assert.match(await minh.locator("details tbody tr", { hasText: "Sài Gòn" }).innerText(), /Phường Sài Gòn\s+1/);
  const csv = await minh.request.get(node.url + (await minh.getByRole("link", { name: "Tải CSV" }).getAttribute("href")));
  assert.match(await csv.text(), /26740/);
  assert.deepEqual([...page.faults, ...minh.faults], []);
});

test("where websockets do not get through the event stream does the same", async () => {
  const page = await person(browser);
  await page.addInitScript(() => {
    window.WebSocket = class { constructor() { throw new Error("no websockets here"); } };
  });
  await page.goto(`${node.url}/`);
  await page.locator("input[type=search]").fill("sai gon");
  await page.locator(".found button", { hasText: "Sài Gòn" }).first().click();
  await page.locator("[data-line=events]").waitFor({ timeout: 60_000 });
  const id = await publish(node, key, alert([UNIT], { headline: "Qua luồng sự kiện" }));
  await page.locator(`[data-id="${id}"]`).waitFor();
  assert.deepEqual(page.faults, []);
});

test("on a slow line the first alert can be read within three seconds", async (t) => {
  await publish(node, key, alert([UNIT], { headline: "Đọc được ngay" }));
  const page = await person(browser, { viewport: { width: 360, height: 640 } });
  const session = await page.context().newCDPSession(page);
  await session.send("Network.enable");
  await session.send("Network.emulateNetworkConditions", SLOW);
  let bytes = 0;
  session.on("Network.loadingFinished", ({ encodedDataLength }) => (bytes += encodedDataLength));
  const began = Date.now();
  await page.goto(`${node.url}/`, { waitUntil: "commit" });
  await page.getByText("Đọc được ngay").first().waitFor({ timeout: 20_000 });
  const took = Date.now() - began;
  t.diagnostic(`first alert text after ${took} ms, ${bytes} bytes`);
  assert.ok(took <= FIRST_TEXT_MS, `${took} ms`);
});

test("without a line the page opens with what it last knew, and says how old that is", async () => {
  const page = await person(browser);
  await choosePlace(page);
  await page.locator(".alert-card").first().waitFor();
  await page.evaluate(() => navigator.serviceWorker.ready);
  await page.waitForFunction(async () => (await caches.match("/")) !== undefined);
  await page.reload();
  await page.locator(".alert-card").first().waitFor();
  await page.context().setOffline(true);
  await page.reload();
  await page.locator(".alert-card").first().waitFor();
  await page.locator(".line.is-off", { hasText: "Mất kết nối" }).waitFor();
  const manifest = await page.evaluate(() => document.querySelector("link[rel=manifest]").href);
  assert.ok(manifest.endsWith("/manifest.webmanifest"));
  await page.context().setOffline(false);
});

test("an alert has a page of its own, with its CAP message, for anybody", async () => {
  const id = await publish(node, key, alert([UNIT], { headline: "Trang riêng" }));
  const page = await person(browser);
  await page.goto(`${node.url}/alerts/${id}`);
  await page.locator("h1", { hasText: "Trang riêng" }).waitFor();
  const href = await page.getByRole("link", { name: "Bản CAP gốc" }).getAttribute("href");
  const cap = await (await fetch(node.url + href)).text();
  assert.match(cap, /urn:oasis:names:tc:emergency:cap:1\.2/);
});

test("a browser without scripts is sent to the plain page, which has the alerts", async () => {
  const page = await person(browser, { javaScriptEnabled: false });
  await page.goto(`${node.url}/`);
  await page.waitForURL("**/plain");
  assert.match(await page.locator("body").innerText(), /Ngập sâu/);
});
