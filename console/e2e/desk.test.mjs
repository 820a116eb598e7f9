// An alert's way over two desks: written, submitted, approved by another, watched, taken back.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { axe, launch, login, person, until } from "./support/browser.mjs";
import { citizen, Desk, draftBody } from "./support/desk.mjs";
import { Node, PASSWORD } from "./support/node.mjs";

let browser, node;

before(async () => {
  node = new Node();
  node.people("bch", [
    ["lan", "Nguyễn Thị Lan", "write"],
    ["minh", "Trần Quang Minh", "write,approve,override,operate,admin"],
  ]);
  await node.serve();
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await node?.end();
});

/** The CAP form of a draft, for `loa geofences match`. */
function fullAlert({ infos }) {
  return { identifier: "e2e", sender: "e2e@loa", sent: "2026-08-01T16:30:00+07:00", status: "Actual", msg_type: "Alert", scope: "Public", infos };
}

async function writeAlert(page) {
  await page.getByRole("link", { name: /Soạn/ }).first().click();
  await page.getByRole("button", { name: /Triều cường/ }).click();
  const search = page.locator(".search input");
  for (const name of ["thu duc", "sai gon", "ben thanh"]) {
    await search.fill(name);
    await page.locator(".search [role=option]").first().waitFor();
    await search.press("Enter");
  }
}

test("two people: compose, submit, approve, watch, cancel, all live", async () => {
  const lan = await person(browser);
  const minh = await person(browser, { viewport: { width: 390, height: 800 } });
  await login(lan, node, "lan");
  await login(minh, node, "minh");
  await minh.getByRole("link", { name: /Duyệt/ }).click();

  await writeAlert(lan);
  await lan.locator("[name=headline-vi]").fill("Triều cường: ngập sâu chiều nay");
  await lan.locator("[data-test=units]", { hasText: /^3$/ }).waitFor();
  await lan.locator(".phone.ios strong", { hasText: "Triều cường: ngập sâu chiều nay" }).waitFor();
  await lan.getByRole("button", { name: "Trình duyệt…" }).click();

  const dialog = lan.getByRole("dialog");
  const words = await dialog.innerText();
  for (const said of ["Ban Chỉ huy PCTT", "Nguyễn Thị Lan", "Thủ Đức", "thiết bị"]) assert.ok(words.includes(said), `${said} in ${words}`);
  const send = dialog.getByRole("button", { name: "Trình duyệt", exact: true });
  assert.ok(await send.isDisabled(), "nothing goes before it was looked at");
  await dialog.locator("[name=looked]").check();
  await send.click();
  await lan.locator(".toast").waitFor();

  // It appears on the other desk by itself; its writer cannot approve it.
  const card = minh.locator("a.card", { hasText: "ngập sâu chiều nay" });
  await card.waitFor();
  await lan.locator("a.card", { hasText: "ngập sâu chiều nay" }).first().click();
  await lan.getByText("Bạn đã trình bản này").waitFor();
  assert.equal(await lan.getByRole("button", { name: /Duyệt và phát/ }).count(), 0);

  await card.click();
  await minh.locator(".side-by-side").waitFor();
  await minh.locator(".audience").waitFor();
  assert.deepEqual(await axe(minh), []);
  await minh.getByRole("button", { name: "Duyệt và phát…" }).click();
  await minh.getByRole("dialog").locator("[name=looked]").check();
  await minh.getByRole("dialog").getByRole("button", { name: "Duyệt và phát", exact: true }).click();
  await minh.locator(".hero h2", { hasText: "ngập sâu chiều nay" }).waitFor();
  await minh.locator(".since-clock").waitFor();
  assert.match(await minh.locator(".hero").innerText(), /Trình: Nguyễn Thị Lan \(lan\) · Duyệt: Trần Quang Minh \(minh\)/);

  const active = await (await fetch(`${node.url}/v1/alerts/active`)).json();
  assert.equal(active.alerts.length, 1);
  assert.equal(active.alerts[0].texts[0].title, "Triều cường: ngập sâu chiều nay");

  // The writer's screen has it too, without a reload.
  await lan.getByRole("link", { name: /Theo dõi/ }).click();
  await lan.locator("a.card", { hasText: "ngập sâu chiều nay" }).waitFor();

  await minh.getByRole("button", { name: "Thu hồi", exact: true }).click();
  await minh.getByRole("dialog").getByRole("button", { name: "Thu hồi ngay" }).click();
  await lan.locator(".state.cancelled").first().waitFor();
  const none = await (await fetch(`${node.url}/v1/alerts/active`)).json();
  assert.equal(none.alerts.filter(({ action }) => action !== "cancel").length, 0);
  assert.deepEqual([...lan.faults, ...minh.faults], []);
});

test("a draft is returned with a reason, mended and seen again", async () => {
  const lan = await person(browser);
  const minh = await person(browser);
  await login(lan, node, "lan");
  await login(minh, node, "minh");
  await writeAlert(lan);
  await lan.locator("[name=headline-vi]").fill("Bản cần sửa");
  await lan.getByRole("button", { name: "Trình duyệt…" }).click();
  await lan.getByRole("dialog").locator("[name=looked]").check();
  await lan.getByRole("dialog").getByRole("button", { name: "Trình duyệt", exact: true }).click();
  await minh.getByRole("link", { name: /Duyệt/ }).click();
  await minh.locator("a.card", { hasText: "Bản cần sửa" }).click();
  await minh.getByRole("button", { name: "Trả lại…" }).click();
  const why = minh.getByRole("dialog");
  assert.ok(await why.getByRole("button", { name: "Trả lại", exact: true }).isDisabled(), "a reason is needed");
  await why.locator("[name=reason]").fill("Sai phường");
  await why.getByRole("button", { name: "Trả lại", exact: true }).click();
  const card = lan.locator("a.card", { hasText: "Bản cần sửa" });
  await card.locator(".state.returned").waitFor();
  await card.click();
  await lan.getByText("Sai phường").waitFor();
  await lan.getByRole("link", { name: "Sửa tiếp" }).click();
  await lan.locator("[name=headline-vi]").waitFor();
  assert.equal(await lan.locator("[name=headline-vi]").inputValue(), "Bản cần sửa");
  await lan.locator(".chips li").nth(2).waitFor();
  assert.equal(await lan.locator(".chips li").count(), 3);
  assert.deepEqual([...lan.faults, ...minh.faults], []);
});

/** A writer before an empty map, and what their page last sent for a preview. */
async function beforeTheMap() {
  const lan = await person(browser);
  await login(lan, node, "lan");
  await lan.getByRole("link", { name: /Soạn/ }).first().click();
  await lan.getByRole("button", { name: /Triều cường/ }).click();
  let sent = null;
  lan.on("request", (request) => {
    if (request.url().endsWith("/v1/console/preview")) sent = request.postDataJSON();
  });
  return { lan, sent: () => sent };
}

/** The screen shows exactly the units in which the target has a share. */
async function shows(lan, { units }) {
  const wanted = units.filter(({ share }) => share > 0).map(({ code }) => code).sort();
  await lan.locator("[data-test=units]", { hasText: new RegExp(`^${wanted.length}$`) }).waitFor();
  const shown = await lan.locator(".where .unit.whole, .where .unit.part").evaluateAll((all) => all.map((one) => one.dataset.code));
  assert.deepEqual(shown.sort(), wanted);
  return wanted.length;
}

test("a drawn polygon gives the units that `loa geofences match` gives", async () => {
  const { lan, sent } = await beforeTheMap();
  await lan.getByRole("button", { name: "Vẽ vùng" }).click();
  await lan.locator(".where .map > svg").scrollIntoViewIfNeeded();
  const box = await lan.locator(".where .map > svg").boundingBox();
  const at = (x, y) => lan.mouse.click(box.x + box.width * x, box.y + box.height * y);
  for (const [x, y] of [[0.35, 0.5], [0.55, 0.45], [0.6, 0.62], [0.42, 0.68]]) await at(x, y);
  await lan.keyboard.press("f");
  await lan.locator(".chips li", { hasText: "4 góc" }).waitFor();
  // The finished ring goes to the node: five points, the first again at the end.
  await lan.waitForFunction(() => document.querySelector(".audience")?.getAttribute("aria-busy") === "false");
  await until(() => sent()?.body.infos[0].areas[0].polygons?.[0]?.length === 5);
  await lan.waitForFunction(() => document.querySelector(".audience")?.getAttribute("aria-busy") === "false");

  const area = sent().body.infos[0].areas[0];
  assert.equal(area.polygons[0].length, 5);
  const ring = area.polygons[0].map(([lat, lon]) => [lon, lat]);
  const file = node.file("drawn.geojson", JSON.stringify({ type: "Polygon", coordinates: [ring] }));
  const matched = JSON.parse(node.run(["geofences", "match", file, "--json"]));
  const count = await shows(lan, matched);
  assert.ok(count >= 5, `a polygon over several units: ${count}`);
  const parts = matched.units.filter(({ share }) => share > 0 && share < 0.995).length;
  assert.equal(await lan.locator(".where .unit.part").count(), parts);
  assert.deepEqual(lan.faults, []);
});

test("a drawn circle follows the pointer, is mended by its radius and gives the same units", async () => {
  const { lan, sent } = await beforeTheMap();
  await lan.getByRole("button", { name: "Vẽ vòng tròn" }).click();
  const map = lan.locator(".where .map > svg");
  await map.scrollIntoViewIfNeeded();
  const box = await map.boundingBox();
  await lan.mouse.click(box.x + box.width * 0.45, box.y + box.height * 0.55);
  await lan.mouse.move(box.x + box.width * 0.5, box.y + box.height * 0.57, { steps: 4 });
  // The audience is there before the circle is.
  await lan.locator(".audience").waitFor();
  await lan.mouse.click(box.x + box.width * 0.52, box.y + box.height * 0.58);
  const radius = lan.locator(".chips input[type=number]");
  await radius.waitFor();
  await radius.fill("6.5");
  await radius.press("Tab");
  await until(() => sent()?.body.infos[0].areas[0].circles?.[0]?.radius_km === 6.5);
  const [{ centre }] = sent().body.infos[0].areas[0].circles;
  const alert = node.file("circle.json", JSON.stringify(fullAlert(sent().body)));
  const matched = JSON.parse(node.run(["geofences", "match", alert, "--json"]));
  const count = await shows(lan, matched);
  assert.ok(count >= 2 && centre.length === 2, `${count} units`);
  assert.deepEqual(lan.faults, []);
});

test("keyboard only: from the template to the second person", async () => {
  const lan = await person(browser);
  await login(lan, node, "lan");
  const keys = (...all) => all.reduce((before, key) => before.then(() => lan.keyboard.press(key)), Promise.resolve());
  const tabTo = async (holds, shift = false) => {
    for (let i = 0; i < 400; i++) {
      if (await lan.evaluate((source) => new Function("at", `return ${source}`)(document.activeElement), holds)) return;
      await lan.keyboard.press(shift ? "Shift+Tab" : "Tab");
    }
    assert.fail(`the focus never came to ${holds}`);
  };
  await tabTo('at.matches("nav.rail a[href$=compose]")');
  await keys("Enter");
  await lan.locator(".tile").first().waitFor();
  await tabTo('at.matches(".tile") && at.textContent.includes("Bão")');
  await keys("Enter");
  await tabTo('at.matches(".where .search input")');
  await lan.keyboard.type("can gio");
  await lan.locator(".search [role=option]").first().waitFor();
  await keys("Enter");
  await lan.locator(".chips li").first().waitFor();
  await tabTo('at.name === "headline-vi"');
  await keys("Control+a");
  await lan.keyboard.type("Chỉ bằng bàn phím");
  await lan.locator(".phone.ios strong", { hasText: "Chỉ bằng bàn phím" }).waitFor();
  await lan.locator(".action-bar button.primary:not([disabled])").waitFor();
  await tabTo('at.textContent === "Trình duyệt…"');
  await keys("Enter");
  await lan.getByRole("dialog").waitFor();
  await tabTo('at.name === "looked"');
  await keys("Space");
  await tabTo('at.textContent === "Trình duyệt" && !at.disabled');
  await keys("Enter");
  await lan.locator(".card", { hasText: "Chỉ bằng bàn phím" }).locator(".state.submitted").waitFor();
  assert.deepEqual(lan.faults, []);
});

test("a draft is rejected with a reason, and that is its end", async () => {
  const writer = await Desk.login(node, "lan", PASSWORD);
  await writer.draft(draftBody(["26740"], { headline: "Bản bị từ chối" }), "submit");
  const [lan, minh] = [await person(browser), await person(browser)];
  await login(minh, node, "minh");
  await login(lan, node, "lan");
  await lan.goto(`${node.url}/console/approve`);
  await minh.getByRole("link", { name: /Duyệt/ }).click();
  await minh.locator("a.card", { hasText: "Bản bị từ chối" }).click();
  await minh.getByRole("button", { name: "Từ chối…" }).click();
  await minh.getByRole("dialog").locator("[name=reason]").fill("Không thuộc địa bàn");
  await minh.getByRole("dialog").getByRole("button", { name: "Từ chối", exact: true }).click();
  const card = lan.locator("a.card", { hasText: "Bản bị từ chối" });
  await card.locator(".state.rejected").waitFor();
  await card.click();
  await lan.getByText("Không thuộc địa bàn").waitFor();
  assert.equal(await lan.getByRole("link", { name: "Sửa tiếp" }).count(), 0);
  assert.equal(await lan.getByRole("button", { name: /Trình duyệt/ }).count(), 0);
});

test("an exercise says so everywhere and reaches only those who take part", async () => {
  const [part, rest] = [await citizen(node, "26743", { exercises: true }), await citizen(node, "26743")];
  const lan = await person(browser);
  await login(lan, node, "lan");
  await lan.goto(`${node.url}/console/drill`);
  await lan.getByRole("link", { name: "Soạn cảnh báo diễn tập" }).click();
  await lan.getByRole("button", { name: /Cúp nước/ }).click();
  await lan.locator(".search input").fill("ben thanh");
  await lan.locator(".search [role=option]").first().waitFor();
  await lan.locator(".search input").press("Enter");
  assert.ok(await lan.locator("[name=exercise]").isChecked());
  await lan.locator("[data-test=devices]", { hasText: /^[1-9]/ }).waitFor();
  await lan.locator(".phone.ios", { hasText: "DIỄN TẬP" }).waitFor();
  await lan.getByRole("button", { name: "Phát…" }).click();
  await lan.getByRole("dialog").getByText("DIỄN TẬP").first().waitFor();
  await lan.getByRole("dialog").getByRole("button", { name: "Phát", exact: true }).click();
  await lan.locator(".hero .flag.exercise").waitFor();
  const id = lan.url().split("/").pop();
  const boxes = await Promise.all([part, rest].map((one) => one.inbox()));
  const has = boxes.map(({ items }) => items.some(({ publication }) => publication.id === id));
  assert.deepEqual(has, [true, false]);
  const active = await (await fetch(`${node.url}/v1/alerts/active`)).json();
  assert.ok(active.alerts.every((alert) => alert.id !== id), "no public page shows an exercise");
});

test("a correction is prepared from what was said, and the chain tells what came after what", async () => {
  const [writer, second] = [await Desk.login(node, "lan", PASSWORD), await Desk.login(node, "minh", PASSWORD)];
  const draft = await writer.draft(draftBody(["26740", "26743"], { headline: "Ngập ở hai phường" }), "submit");
  const { publication } = await second.step(draft, "approve");
  const lan = await person(browser);
  await login(lan, node, "lan");
  await lan.goto(`${node.url}/console/watch/${publication}`);
  assert.equal(await lan.getByRole("button", { name: "Thu hồi", exact: true }).count(), 0, "a writer alone withdraws nothing");
  await lan.getByRole("link", { name: "Cập nhật, đính chính" }).click();
  await lan.locator(".chips li", { hasText: "Bến Thành" }).waitFor();
  assert.equal(await lan.locator("[name=headline-vi]").inputValue(), "Ngập ở hai phường");
  await lan.locator("[name=headline-vi]").fill("Đính chính: chỉ ngập ở một phường");
  await lan.getByRole("button", { name: "Bỏ Phường Bến Thành" }).click();
  await lan.getByRole("button", { name: "Trình duyệt…" }).click();
  await lan.getByRole("dialog").locator("[name=looked]").check();
  await lan.getByRole("dialog").getByRole("button", { name: "Trình duyệt", exact: true }).click();
  const minh = await person(browser);
  await login(minh, node, "minh");
  await minh.goto(`${node.url}/console/approve`);
  await minh.locator("a.card", { hasText: "Đính chính" }).click();
  await minh.getByRole("button", { name: "Duyệt và phát…" }).click();
  await minh.getByRole("dialog").locator("[name=looked]").check();
  await minh.getByRole("dialog").getByRole("button", { name: "Duyệt và phát", exact: true }).click();
  await minh.locator(".hero h2", { hasText: "Đính chính" }).waitFor();
  await minh.getByRole("button", { name: "Thu hồi", exact: true }).click();
  await minh.getByRole("dialog").locator("[name=reason]").fill("Nước đã rút");
  await minh.getByRole("dialog").getByRole("button", { name: "Thu hồi ngay" }).click();
  await minh.locator(".hero .state.cancelled").waitFor();
  await minh.reload();
  await minh.locator(".chain li").nth(2).waitFor();
  const told = await minh.locator(".chain b").allInnerTexts();
  assert.deepEqual(told, ["Phát", "Cập nhật", "Thu hồi"]);
  assert.deepEqual([...lan.faults, ...minh.faults], []);
});

test("without a mouse: units, an area and the way to the button", async () => {
  const lan = await person(browser);
  await login(lan, node, "lan");
  await lan.goto(`${node.url}/console/compose`);
  const first = lan.locator(".where .unit[tabindex='0']").first();
  await first.waitFor();
  await first.focus();
  await lan.keyboard.press("ArrowRight");
  await lan.keyboard.press("Space");
  await lan.locator(".where .unit.whole").waitFor();
  assert.equal(await lan.locator(".where .unit[aria-checked=true]").count(), 1);
  await lan.getByRole("button", { name: "Vẽ vùng" }).press("Enter");
  await lan.locator(".where .map > svg").focus();
  for (const key of ["Enter", "ArrowRight", "ArrowRight", "Enter", "ArrowDown", "ArrowDown", "Enter", "f"]) await lan.keyboard.press(key);
  await lan.locator(".chips li", { hasText: "3 góc" }).waitFor();
  assert.deepEqual(lan.faults, []);
});

test("codes are pasted, and an old name finds what became of it", async () => {
  const lan = await person(browser);
  await login(lan, node, "lan");
  await lan.goto(`${node.url}/console/compose`);
  const search = lan.locator(".search input");
  await search.fill("26740, 26743 26734");
  const { units } = await (await fetch(`${node.url}/v1/units`)).json();
  const known = ["26740", "26743", "26734"].filter((code) => units.some((unit) => unit.code === code));
  await lan.getByRole("button", { name: `Thêm ${known.length} đơn vị theo mã` }).click();
  assert.equal(await lan.locator(".chips li").count(), known.length);
  // Phường Hiệp Thành of Thủ Dầu Một is no unit any more.
  await search.fill("hiep thanh");
  await lan.locator(".search [role=option]", { hasText: "Thủ Dầu Một" }).waitFor();
});

test("while one writes: both lock screens with their bytes, what to mend, who is reached and by when", async () => {
  await citizen(node, "26740");
  const lan = await person(browser);
  await login(lan, node, "lan");
  await lan.goto(`${node.url}/console/compose`);
  await lan.locator(".tile").nth(8).waitFor();
  assert.equal(await lan.locator(".tile").count(), 9, "a template for each hazard");
  await lan.getByRole("button", { name: /Mưa lớn/ }).click();
  // A unit by a click on the map, and no longer by another.
  await lan.locator(".where .unit[data-code='26740']").click();
  await lan.locator(".where .unit.whole[data-code='26740']").waitFor();
  await lan.locator(".audience[aria-busy=false] [data-test=devices]", { hasText: /^[1-9]/ }).waitFor();
  const online = await lan.locator(".audience tr", { hasText: "Trực tuyến" }).locator("td").allInnerTexts();
  assert.match(online[0], /^[1-9]/);
  assert.match(online[2], /ms|giây/, "when 99 % of the channel are reached");
  for (const [lang, tab] of [["vi", "Tiếng Việt"], ["en", "English"]]) {
    await lan.locator("#phones").locator("xpath=..").getByRole("tab", { name: tab }).click();
    for (const phone of [".phone.ios", ".phone.android"]) {
      await lan.locator(`${phone} .notification[lang=${lang}] strong`).waitFor();
      assert.match(await lan.locator(`${phone} .count`).innerText(), /^[\d.]+ \/ 4\.096 bytes$/);
    }
  }
  await lan.locator("[name=headline-vi]").fill("NƯỚC LÊN RẤT NHANH, ĐỪNG RA ĐƯỜNG");
  await lan.locator(".findings li", { hasText: "Toàn chữ hoa" }).waitFor();
  await lan.locator("[name=headline-vi]").fill("Nước lên nhanh, xem https://vidu.vn");
  await lan.locator(".findings li", { hasText: "không nên có liên kết" }).waitFor();
  let sent = null;
  lan.on("request", (request) => {
    if (request.url().endsWith("/v1/console/preview")) sent = request.postDataJSON();
  });
  await lan.getByText("Liên kết và tệp đính kèm").click();
  await lan.getByRole("button", { name: "+ Thêm tệp bằng liên kết" }).click();
  await lan.getByLabel("Tệp 1 (địa chỉ)").fill("https://vidu.vn/ban-do.png");
  await until(() => sent?.body.infos[0].resources?.[0]?.mime_type === "image/png");
  await lan.locator(".where .unit[data-code='26740']").click();
  await until(async () => (await lan.locator(".where .unit.whole").count()) === 0);
  assert.deepEqual(lan.faults, []);
});

test("an override needs a reason and is said aloud; the audit trail and the report have it", async () => {
  const minh = await person(browser);
  await login(minh, node, "minh");
  await writeAlert(minh);
  await minh.locator("[name=headline-vi]").fill("Phát khẩn không chờ");
  await minh.getByRole("button", { name: "Phát khẩn…" }).click();
  const dialog = minh.getByRole("dialog");
  await dialog.locator("[name=looked]").check();
  assert.ok(await dialog.getByRole("button", { name: "Phát khẩn" }).isDisabled(), "a reason is needed");
  await dialog.locator("[name=reason]").fill("Vỡ bờ bao, không liên lạc được người thứ hai");
  await dialog.getByRole("button", { name: "Phát khẩn" }).click();
  await minh.locator(".hero .note.bad", { hasText: "PHÁT KHẨN bởi Trần Quang Minh (minh)" }).waitFor();

  await minh.getByRole("link", { name: "Báo cáo" }).click();
  await minh.locator(".report", { hasText: "Vỡ bờ bao" }).waitFor();
  const csv = await minh.getByRole("link", { name: "CSV" }).getAttribute("href");
  const answer = await minh.request.get(node.url + csv);
  assert.equal(answer.status(), 200);
  assert.match(await answer.text(), /targeted/);

  await minh.getByRole("link", { name: /Lịch sử/ }).first().click();
  await minh.locator("table.history a", { hasText: "Phát khẩn không chờ" }).waitFor();
  await minh.getByRole("link", { name: "Nhật ký kiểm toán" }).click();
  await minh.getByText("Chuỗi nhật ký nguyên vẹn").waitFor();
  await minh.locator("td", { hasText: /override/ }).first().waitFor();
  assert.deepEqual(minh.faults, []);
});

test("what is not hot is published by its writer, and an update replaces it", async () => {
  const lan = await person(browser);
  await login(lan, node, "lan");
  await lan.getByRole("link", { name: /Soạn/ }).first().click();
  await lan.getByRole("button", { name: /Cúp nước/ }).click();
  await lan.locator(".search input").fill("ben thanh");
  await lan.locator(".search [role=option]").first().waitFor();
  await lan.locator(".search input").press("Enter");
  await lan.getByRole("button", { name: "Phát…" }).click();
  await lan.getByRole("dialog").getByRole("button", { name: "Phát", exact: true }).click();
  await lan.locator(".hero h2").waitFor();
  await lan.getByRole("link", { name: "Cập nhật, đính chính" }).click();
  await lan.locator(".chips li", { hasText: "Bến Thành" }).waitFor();
  await lan.locator("[name=headline-vi]").fill("Cúp nước: có nước lại lúc 3 giờ");
  await lan.getByRole("button", { name: "Phát…" }).click();
  await lan.getByRole("dialog").getByRole("button", { name: "Phát", exact: true }).click();
  await lan.locator(".hero h2", { hasText: "có nước lại" }).waitFor();
  await lan.locator(".chain li").nth(1).waitFor();
  assert.equal(await lan.locator(".chain li").count(), 2);
  assert.deepEqual(lan.faults, []);
});
