// What operators and admins do: link tests, people and keys with a second admin, dead letters,
// providers in trouble, history and the report.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { launch, login, person } from "./support/browser.mjs";
import { citizen, Desk, draftBody } from "./support/desk.mjs";
import { alert, keyOf, Node, PASSWORD, publish } from "./support/node.mjs";

const EVERYTHING = "write,approve,override,operate,admin";
let browser, node, google;

before(async () => {
  // Where Google would give access tokens: it gives none, so that every push to Android must wait.
  google = createServer((_, response) => response.writeHead(503, { "Metadata-Flavor": "Google" }).end());
  await new Promise((done) => google.listen(0, "127.0.0.1", done));
  node = new Node({
    LOA__CHANNEL__FCM__METADATA_SERVER: `http://127.0.0.1:${google.address().port}`, LOA__CHANNEL__FCM__PROJECT: "e2e",
  });
  node.people("bch", [["minh", "Trần Quang Minh", EVERYTHING], ["hoa", "Lê Thị Hoa", EVERYTHING]]);
  node.run(["agencies", "put", "capnuoc", "--name", "Tổng Công ty Cấp nước"]);
  // The log exists; what is put there while the node is away is read when it comes.
  await node.serve();
  await node.stop();
  node.garbage("loa.publications.routine", "no event at all");
  await node.serve();
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await node?.end();
  google?.close();
});

test("a link test reaches a canary, and its history says so", async () => {
  const minh = await person(browser);
  await login(minh, node, "minh");
  // A citizen's page is the canary: a device of ours that holds a line.
  const phone = await person(browser);
  await phone.goto(`${node.url}/`);
  await phone.locator("input[type=search]").fill("sai gon");
  await phone.locator(".found button", { hasText: "Sài Gòn" }).first().click();
  await phone.locator("[data-line=websocket]").waitFor();
  const { id } = await phone.evaluate(() => JSON.parse(localStorage.getItem("loa.device")));

  await minh.goto(`${node.url}/console/drill`);
  await minh.getByText("Thêm thiết bị canh chừng").click();
  await minh.locator(".search input").fill("sai gon");
  await minh.locator(".search [role=option]").first().waitFor();
  await minh.locator(".search input").press("Enter");
  await minh.getByLabel("Mã thiết bị").fill(id);
  await minh.getByRole("button", { name: "Thêm", exact: true }).click();
  const row = minh.locator("tbody tr", { hasText: "Phường Sài Gòn" });
  await row.waitFor();
  await phone.reload();
  await phone.locator("[data-line=websocket]").waitFor();
  await minh.getByRole("button", { name: "Thử ngay" }).click();
  await minh.locator(".link-history li.good").first().waitFor({ timeout: 60_000 });
  await row.getByText("tốt").waitFor();
  await minh.getByText("Mọi thiết bị canh chừng đều nhận được.").waitFor();
  // Names are there also when the page comes before the city.
  await minh.reload();
  await row.waitFor();
  assert.deepEqual([...minh.faults, ...phone.faults], []);
});

test("a new person and a new key wait for a second admin, who confirms or refuses", async () => {
  const minh = await person(browser);
  const hoa = await person(browser);
  await login(minh, node, "minh");
  await login(hoa, node, "hoa");
  await minh.goto(`${node.url}/console/manage/people`);
  await minh.getByRole("button", { name: "Thêm người" }).click();
  const form = minh.getByRole("dialog");
  await form.getByLabel("Tên đăng nhập").fill("tuan");
  await form.getByLabel("Họ tên").fill("Phạm Anh Tuấn");
  await form.getByLabel("Cơ quan").selectOption({ label: "Ban Chỉ huy PCTT Thành phố" });
  await form.getByLabel("duyệt của người khác").check();
  await form.getByLabel("Mật khẩu", { exact: true }).fill(PASSWORD);
  await form.getByRole("button", { name: "Lưu" }).click();
  await minh.getByText("Chờ quản trị viên thứ hai xác nhận.").first().waitFor();
  await minh.getByRole("link", { name: "Cơ quan và khóa" }).click();
  await minh.getByRole("button", { name: "Khóa API của Tổng Công ty Cấp nước" }).click();
  await minh.getByLabel("Tên khóa mới").fill("scada");
  await minh.getByRole("button", { name: "Tạo khóa" }).click();
  await minh.getByRole("dialog").getByRole("button", { name: "Đóng" }).click();
  await minh.getByRole("link", { name: "Chờ xác nhận" }).click();
  // Who asked cannot confirm.
  await minh.locator("li.card", { hasText: "tuan" }).getByText("người khác xác nhận").waitFor();
  assert.equal(await minh.getByRole("button", { name: "Xác nhận", exact: true }).count(), 0);

  await hoa.goto(`${node.url}/console/manage/requests`);
  await hoa.locator("li.card", { hasText: "tuan" }).getByRole("button", { name: "Xác nhận" }).click();
  await hoa.locator("li.card", { hasText: "tuan" }).waitFor({ state: "detached" });
  await hoa.locator("li.card", { hasText: "capnuoc/scada" }).getByRole("button", { name: "Xác nhận" }).click();
  const key = await hoa.locator(".note code").innerText();
  assert.match(key, /^loa_/);
  // Both work: the person logs in, the key publishes; a third change is refused.
  const tuan = await person(browser);
  await login(tuan, node, "tuan");
  await publish(node, key, alert(["26740"], { headline: "Nước yếu đêm nay" }, "Minor"));
  const desk = await Desk.login(node, "minh", PASSWORD);
  await desk.ask("POST", "/agencies/capnuoc/keys", { name: "khac" });
  await hoa.reload();
  await hoa.locator("li.card", { hasText: "khac" }).getByRole("button", { name: "Từ chối" }).click();
  await hoa.getByText("Không có gì chờ.").waitFor();
  assert.deepEqual([...minh.faults, ...hoa.faults], []);
});

test("an agency is added and its borders of power are kept", async () => {
  const desk = await Desk.login(node, "hoa", PASSWORD);
  const minh = await person(browser);
  await login(minh, node, "minh");
  await minh.goto(`${node.url}/console/manage/agencies`);
  await minh.getByRole("button", { name: "Thêm cơ quan" }).click();
  const form = minh.getByRole("dialog");
  await form.getByLabel("Mã", { exact: true }).fill("pc07");
  await form.getByLabel("Tên", { exact: true }).fill("Cảnh sát PCCC");
  await form.getByLabel(/Mã các đơn vị/).fill("26740, 26743");
  await form.getByLabel("Mức nghiêm trọng cao nhất").selectOption("Severe");
  await form.getByRole("button", { name: "Lưu" }).click();
  await minh.getByText("Chờ quản trị viên thứ hai xác nhận.").first().waitFor();
  const { requests } = await desk.ask("GET", "/requests");
  const waiting = requests.find(({ object, state }) => object === "pc07" && state === "waiting");
  await desk.ask("POST", `/requests/${waiting.id}/confirm`, {});
  await minh.reload();
  const row = minh.locator("tbody tr", { hasText: "Cảnh sát PCCC" });
  await row.getByText("Severe (cấp 3)").waitFor();
  assert.match(await row.innerText(), /pc07\s+2\s/);
});

test("a dead letter says why, and is sent again", async () => {
  const minh = await person(browser);
  await login(minh, node, "minh");
  await minh.goto(`${node.url}/console/manage/letters`);
  const letter = minh.locator("li.card", { hasText: "loa.publications.routine" });
  await letter.first().waitFor();
  const before = await letter.count();
  await letter.first().getByRole("button", { name: "Gửi lại" }).click();
  await minh.getByText("Đã gửi lại.").waitFor();
  // It is as broken as before, so it comes back: the way of a letter, seen from both ends.
  const desk = await Desk.login(node, "minh", PASSWORD);
  const all = async () => {
    const { partitions } = await desk.ask("GET", "/dead-letters?partition=0&from=0");
    const answers = await Promise.all(Array.from({ length: partitions }, (_, i) => desk.ask("GET", `/dead-letters?partition=${i}&from=0`)));
    return answers.flatMap(({ letters }) => letters);
  };
  await node.until(async () => (await all()).length > before, 30_000);
  await minh.reload();
  await letter.nth(before).waitFor();
  const { entries } = await desk.ask("GET", "/audit?limit=10");
  assert.ok(entries.some(({ act }) => act === "redrive_dead_letters"));
});

test("a provider in trouble is seen, with what waits for it", async () => {
  await citizen(node, "26743", { address: { channel: "fcm", kind: "token", value: "e2e-token-of-a-phone-that-waits" } });
  const minh = await person(browser);
  await login(minh, node, "minh");
  const id = await publish(node, keyOf(node, "bch"), alert(["26743"], { headline: "Chờ Google trả lời" }));
  await minh.goto(`${node.url}/console/watch/${id}`);
  await minh.locator(".providers li", { hasText: "Android (FCM)" }).getByText(/không trả lời|chập chờn/).waitFor({ timeout: 60_000 });
  await minh.locator(".ends li", { hasText: "Đang chờ, sẽ thử lại" }).waitFor();
  await minh.locator("[data-test=unreached]", { hasText: /^1$/ }).waitFor();
  // While it is watched the expected end of the channel stands in the table.
  const row = minh.locator("section[aria-labelledby=w-channels] tr", { hasText: "Android (FCM)" });
  assert.match(await row.locator("td").last().innerText(), /ms|giây|phút/);
  await minh.goto(`${node.url}/console/manage/providers`);
  await minh.locator("tr", { hasText: "Android (FCM)" }).getByText(/không trả lời|chập chờn/).waitFor();
  assert.deepEqual(minh.faults, []);
});

test("history and report name agencies and people; a report is printed and is a table", async () => {
  const desk = await Desk.login(node, "minh", PASSWORD);
  const other = await Desk.login(node, "hoa", PASSWORD);
  const draft = await desk.draft(draftBody(["26740"], { headline: "Để làm báo cáo" }), "submit");
  const { publication } = await other.step(draft, "approve");
  const minh = await person(browser);
  await login(minh, node, "minh");
  await minh.goto(`${node.url}/console/prove`);
  await minh.locator("tr", { hasText: "Nước yếu đêm nay" }).getByText("Tổng Công ty Cấp nước").waitFor();
  await minh.getByLabel("Có chữ").fill("bao cao");
  await minh.locator("tr", { hasText: "Nước yếu đêm nay" }).waitFor({ state: "detached" });
  await minh.getByRole("link", { name: "Để làm báo cáo" }).click();
  const report = minh.locator(".report");
  await report.getByText("Lê Thị Hoa (hoa)").waitFor();
  await report.getByText("Ban Chỉ huy PCTT Thành phố", { exact: true }).waitFor();
  assert.match(minh.url(), new RegExp(`/console/report/${publication}$`));
  await minh.emulateMedia({ media: "print" });
  assert.equal(await minh.locator("nav.rail").isVisible(), false);
  assert.equal(await minh.getByRole("button", { name: /In, lưu PDF/ }).isVisible(), false);
  assert.ok((await minh.pdf()).length > 10_000, "it can be put on paper");
  await minh.emulateMedia({ media: "screen" });
  const [download] = await Promise.all([minh.waitForEvent("download"), minh.getByRole("link", { name: "CSV" }).click()]);
  const csv = await (await import("node:fs/promises")).readFile(await download.path(), "utf8");
  assert.match(csv, /targeted/);
  assert.match(csv, /26740/);
  assert.deepEqual(minh.faults, []);
});

test("language and theme are changed on every page at once and kept", async () => {
  const minh = await person(browser, { colorScheme: "light" });
  await login(minh, node, "minh");
  await minh.getByRole("button", { name: "English" }).click();
  await minh.locator("h1", { hasText: "Watch" }).waitFor();
  assert.equal(await minh.locator("html").getAttribute("lang"), "en");
  await minh.getByLabel(/Theme|Display|Colours/).selectOption("dark");
  const ground = () => minh.evaluate(() => getComputedStyle(document.body).backgroundColor);
  assert.equal(await ground(), "rgb(12, 21, 26)");
  await minh.reload();
  await minh.locator("h1", { hasText: "Watch" }).waitFor();
  assert.equal(await ground(), "rgb(12, 21, 26)");
  await minh.getByLabel(/Theme|Display|Colours/).selectOption("auto");
  assert.equal(await ground(), "rgb(243, 246, 247)");
  await minh.emulateMedia({ colorScheme: "dark" });
  await minh.waitForFunction(() => getComputedStyle(document.body).backgroundColor === "rgb(12, 21, 26)");
  assert.deepEqual(minh.faults, []);
});
