// What citizens read says who speaks, what holds, where, and whether it is genuine; and a report made
// without a login is followed with its code.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, test } from "node:test";
import { axe, launch, person } from "./support/browser.mjs";
import { alert, keyOf, Node, publish } from "./support/node.mjs";

const UNIT = "26740";
const PHONE = { viewport: { width: 390, height: 800 } };
const KIND = "report-1022";
const REFERENCE = "1022-2026-0918871";
const CODE = "K7QM2XR9PDWA4T6H";

let browser, node, key;

before(async () => {
  node = new Node();
  node.people("bch", [["minh", "Trần Quang Minh", "write,approve"]]);
  await node.serve();
  key = keyOf(node, "bch");
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await node?.end();
});

async function post(path, body) {
  const response = await fetch(node.url + path, {
    method: "POST", headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json" }, body: JSON.stringify(body),
  });
  assert.equal(response.status, 202, await response.clone().text());
  return response.json();
}

async function english(page) {
  await page.addInitScript(() => localStorage.setItem("loa.language", "en"));
}

/** Areas described so in each language; none where it says nothing. */
function described(words, texts = {}) {
  const body = alert([UNIT, "26743"], texts);
  for (const info of body.infos) info.areas[0].description = words[info.language.slice(0, 2)];
  body.infos = body.infos.filter((info) => info.areas[0].description);
  return body;
}

test("a report made without a login is followed with its code, and kept only if one asks", async () => {
  const code_hash = createHash("sha256").update(`${KIND}\n${REFERENCE}\n${CODE}`).digest("hex");
  const change = (step, state, remark) => ({ kind: KIND, reference: REFERENCE, code_hash, state, step, changed_at: new Date().toISOString(), remark });
  await post("/v1/status-changes", { changes: [change(1, "received"), change(2, "resolved", "Đã thông cống trước nhà số 12")] });
  const page = await person(browser, PHONE);
  await page.goto(`${node.url}/#inbox`);
  const open = page.getByText("Theo dõi phản ánh 1022 bằng mã bí mật");
  await open.click();
  const form = page.locator(".report-form");
  const look = async (code) => {
    await form.getByLabel("Số phản ánh").fill(REFERENCE);
    await form.getByLabel("Mã bí mật").fill(code);
    await form.getByRole("button", { name: "Xem kết quả" }).click();
  };
  await look("123");
  await page.getByText("Mã gồm 12 đến 64 chữ cái và chữ số.").waitFor();
  await look("AAAA-AAAA-AAAA");
  await page.getByText("Không có phản ánh nào với số và mã này.").waitFor();
  await look("k7qm-2xr9-pdwa-4t6h");
  const steps = page.locator(".steps-list li");
  await steps.nth(1).waitFor();
  assert.match(await steps.first().innerText(), /✓ Đã xử lý[\s\S]*Đã thông cống trước nhà số 12/);
  assert.match(await steps.nth(1).innerText(), /Đã tiếp nhận/);
  assert.deepEqual(await axe(page), []);
  assert.equal(await page.evaluate(() => Object.values(localStorage).join().includes("pdwa")), false, "nothing is kept unasked");

  await form.getByLabel("Ghi nhớ trên máy này").check();
  await form.getByRole("button", { name: "Xem kết quả" }).click();
  await page.getByRole("button", { name: "Quên mã" }).waitFor();
  await page.reload();
  await steps.nth(1).waitFor();
  // In the other language too, words of the states and all.
  await page.getByRole("button", { name: "English" }).click();
  await steps.first().getByText("Resolved").waitFor();
  await page.getByRole("button", { name: "Forget the code" }).click();
  await page.reload();
  await page.getByText("Follow a 1022 report with its code").waitFor();
  assert.equal(await steps.count(), 0);
  assert.equal(await page.evaluate(() => Object.values(localStorage).join().includes("pdwa")), false);
  assert.deepEqual(page.faults, []);
});

test("a notice says by name who speaks", async () => {
  const page = await person(browser, PHONE);
  await page.goto(`${node.url}/`);
  await page.locator("input[type=search]").fill("sai gon");
  await page.locator(".found button", { hasText: "Sài Gòn" }).first().click();
  await page.locator("[data-line=websocket]").waitFor();
  const expires = new Date(Date.now() + 3_600_000).toISOString();
  await post("/v1/notices", { identifier: "n-1", kind: "news", expires, texts: { vi: { title: "Lịch cắt nước", body: "Từ 22 giờ." } }, target: { units: [UNIT] } });
  await page.goto(`${node.url}/#inbox`);
  const letter = page.locator(".letter", { hasText: "Lịch cắt nước" });
  await letter.waitFor();
  assert.match(await letter.locator(".meta").innerText(), /^Ban Chỉ huy PCTT Thành phố ·/);
  assert.deepEqual(page.faults, []);
});

test("a withdrawal says that the warning was withdrawn, on every page", async () => {
  const page = await person(browser, PHONE);
  await page.addInitScript(() => {
    window.said = [];
    window.SpeechSynthesisUtterance = class { constructor(text) { this.text = text; } };
    Object.defineProperty(window, "speechSynthesis", { value: { getVoices: () => [], cancel: () => undefined, speak: ({ text }) => window.said.push(text) } });
  });
  await page.goto(`${node.url}/`);
  await page.locator("input[type=search]").fill("sai gon");
  await page.locator(".found button", { hasText: "Sài Gòn" }).first().click();
  await page.locator("[data-line=websocket]").waitFor();
  const id = await publish(node, key, alert([UNIT], { headline: "Cháy kho hàng" }));
  await page.locator(`[data-id="${id}"]`).waitFor();
  const { id: gone } = await post(`/v1/alerts/${id}/cancel`, {});
  const card = page.locator(`[data-id="${gone}"]`);
  await card.getByRole("heading", { name: "Cảnh báo đã được thu hồi" }).waitFor();
  assert.match(await card.innerText(), /Cháy kho hàng[\s\S]*không còn hiệu lực/);
  assert.equal(await page.locator(`[data-id="${id}"]`).count(), 0);
  await card.getByRole("button", { name: "▶ Đọc to" }).click();
  assert.deepEqual(await page.evaluate(() => window.said), ["Cảnh báo đã được thu hồi. Cháy kho hàng."]);
  assert.deepEqual(await axe(page), []);

  await page.goto(`${node.url}/alerts/${gone}`);
  await page.locator("h1", { hasText: "Cảnh báo đã được thu hồi" }).waitFor();
  await page.locator(".timeline li", { hasText: "Cảnh báo đã được thu hồi: Cháy kho hàng" }).waitFor();
  await page.goto(`${node.url}/alerts/${id}`);
  await page.getByRole("link", { name: "Cảnh báo này đã được thu hồi: xem bản thu hồi" }).waitFor();
  await page.goto(`${node.url}/#past`);
  await page.locator(`[data-id="${id}"] .tag`, { hasText: "Đã thu hồi" }).waitFor();
  await page.locator(`[data-id="${gone}"]`).getByRole("heading", { name: "Cảnh báo đã được thu hồi" }).waitFor();
  await page.goto(`${node.url}/#inbox`);
  await page.locator(".letter", { hasText: "Cảnh báo đã được thu hồi: Cháy kho hàng" }).waitFor();
  const feed = await (await fetch(`${node.url}/v1/cap/feed.atom`)).text();
  assert.match(feed, /<title>ĐÃ HỦY: Cháy kho hàng<\/title>/);
  assert.deepEqual(page.faults, []);
});

test("where an alert holds is said in the page's language", async () => {
  const both = await publish(node, key, described({ vi: "Ven sông Sài Gòn", en: "By the Saigon river" }));
  const one = await publish(node, key, described({ vi: "Chợ Bến Thành" }));
  const [vi, en] = [await person(browser, PHONE), await person(browser, PHONE)];
  await english(en);
  const where = async (page, id) => {
    await page.goto(`${node.url}/alerts/${id}`);
    const found = page.locator("[data-test=where]");
    await found.waitFor();
    return found.innerText();
  };
  assert.equal(await where(vi, both), "Khu vực: Ven sông Sài Gòn");
  assert.equal(await where(en, both), "Area: By the Saigon river");
  assert.equal(await where(vi, one), "Khu vực: Chợ Bến Thành");
  await where(en, one);
  await en.getByText(/^Area: .*ward/).waitFor();
  assert.match(await where(en, one), /^Area: ((Sài Gòn|Bến Thành) ward(, )?){2} – Chợ Bến Thành$/);
  assert.equal(await en.locator("[data-test=where] [lang]").getAttribute("lang"), "vi-VN");
  // The page without scripts is in Vietnamese.
  const plain = await (await fetch(`${node.url}/plain`)).text();
  assert.ok(plain.includes("Ven sông Sài Gòn") && !plain.includes("Saigon river"));
  assert.deepEqual([...vi.faults, ...en.faults], []);
});

test("a genuine alert says so; one that was altered on the way is refused aloud", async () => {
  const id = await publish(node, key, alert([UNIT], { headline: "Vỡ đê: sơ tán ngay" }));
  const page = await person(browser, PHONE);
  await page.goto(`${node.url}/alerts/${id}`);
  await page.locator("[data-verdict=genuine]", { hasText: "Chữ ký của thành phố đã được kiểm tra" }).waitFor();
  assert.equal(await page.getByRole("alert").count(), 0);

  // The signed document altered; then only the words that are shown.
  const document = async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: (await response.text()).replace("sơ tán ngay", "cứ ở yên") });
  };
  const words = async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: (await response.text()).replaceAll("sơ tán ngay", "cứ ở yên") });
  };
  for (const [path, alter] of [[`**/v1/cap/${id}.xml`, document], [`**/v1/alerts/${id}/public`, words]]) {
    const other = await person(browser, PHONE);
    await other.route(path, alter);
    await other.goto(`${node.url}/alerts/${id}`);
    const refusal = other.getByRole("alert");
    await refusal.waitFor();
    assert.match(await refusal.innerText(), /ĐỪNG TIN BẢN NÀY/);
    assert.equal(await other.locator("[data-verdict=genuine]").count(), 0);
    const [loud, title] = [await refusal.boundingBox(), await other.locator("h1").boundingBox()];
    assert.ok(loud.y < title.y, "it stands above the alert");
    assert.deepEqual(await axe(other), [], path);
  }
});
