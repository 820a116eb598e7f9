// What a citizen's browser can do beside showing text: read aloud, know where it is, show a map, be
// installed, warn while it is closed.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, person, until } from "./support/browser.mjs";
import { alert, keyOf, Node, publish } from "./support/node.mjs";

const UNIT = "26740";
const PHONE = { viewport: { width: 390, height: 800 } };
/** What the citizens' page may weigh over the wire, without the map. */
const WEIGHT_MAX_BYTES = 100_000;

let browser, node, key, id;

before(async () => {
  node = new Node();
  node.people("bch", [["minh", "Trần Quang Minh", "write,approve"]]);
  await node.serve();
  key = keyOf(node, "bch");
  id = await publish(node, key, alert([UNIT, "26743"], { headline: "Ngập sâu ven sông" }));
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await node?.end();
});

test("the page weighs at most 100 kB over the wire, fonts and live line included, and no map", async (t) => {
  const page = await person(browser, PHONE);
  const session = await page.context().newCDPSession(page);
  await session.send("Network.enable");
  const names = new Map();
  let bytes = 0;
  session.on("Network.requestWillBeSent", ({ requestId, request }) => names.set(requestId, request.url));
  session.on("Network.loadingFinished", ({ requestId, encodedDataLength }) => (bytes += names.get(requestId)?.startsWith("http") ? encodedDataLength : 0));
  await page.goto(`${node.url}/`, { waitUntil: "networkidle" });
  await page.locator(".alert-card").first().waitFor();
  await page.evaluate(() => document.fonts.ready);
  const files = [...names.values()].map((url) => new URL(url).pathname);
  t.diagnostic(`${bytes} bytes in ${names.size} requests, headers and the alerts included`);
  assert.ok(bytes > 10_000 && bytes <= WEIGHT_MAX_BYTES, `${bytes} bytes: ${files}`);
  assert.ok(!files.some((file) => /AreaMap|shapes/.test(file)), "the map is not loaded");
});

test("reads an alert aloud in its language, and stops", async () => {
  const page = await person(browser, PHONE);
  await page.addInitScript(() => {
    window.said = [];
    const voices = [{ lang: "en-US", name: "Sam" }, { lang: "vi-VN", name: "Linh" }];
    window.SpeechSynthesisUtterance = class { constructor(text) { this.text = text; } };
    Object.defineProperty(window, "speechSynthesis", {
      value: { getVoices: () => voices, cancel: () => window.said.push("stop"), speak: ({ text, lang, voice, rate }) => window.said.push({ text, lang, voice: voice?.name, rate }) },
    });
  });
  await page.goto(`${node.url}/`);
  await page.getByRole("button", { name: "▶ Đọc to" }).click();
  await page.getByRole("button", { name: "■ Dừng đọc" }).waitFor();
  const said = await page.evaluate(() => window.said);
  assert.equal(said.at(-1).text, "Ngập sâu ven sông. Đưa xe lên cao. Nước đang lên.");
  assert.deepEqual([said.at(-1).lang, said.at(-1).voice], ["vi-VN", "Linh"]);
  await page.getByRole("button", { name: "■ Dừng đọc" }).click();
  await page.getByRole("button", { name: "▶ Đọc to" }).waitFor();
  assert.equal((await page.evaluate(() => window.said)).at(-1), "stop");
});

test("a position is asked for only on demand, and leaves the browser rounded to a kilometre", async () => {
  const page = await person(browser, { ...PHONE, geolocation: { latitude: 10.776889, longitude: 106.700897 }, permissions: ["geolocation"] });
  const asked = [];
  page.on("request", (request) => asked.push(request.url()));
  await page.goto(`${node.url}/`);
  await page.getByRole("button", { name: /Dùng vị trí của tôi/ }).waitFor();
  assert.ok(!asked.some((url) => url.includes("lat=")));
  await page.getByRole("button", { name: /Dùng vị trí của tôi/ }).click();
  await page.locator("[data-line=websocket]").waitFor();
  const sent = asked.filter((url) => url.includes("lat="));
  assert.deepEqual(sent.map((url) => new URL(url).search), ["?lat=10.78&lon=106.7"]);
  assert.match(await page.locator(".for").innerText(), /^Phường /);
});

test("without leave for a position the page says so, and a name does it", async () => {
  const page = await person(browser, PHONE);
  await page.addInitScript(() => {
    navigator.geolocation.getCurrentPosition = (_, refused) => refused({ code: 1 });
  });
  await page.goto(`${node.url}/`);
  await page.getByRole("button", { name: /Dùng vị trí của tôi/ }).click();
  await page.getByText("Trình duyệt không cho biết vị trí. Hãy tìm theo tên.").waitFor();
});

test("an alert's page shows a map when it is asked for: its units, and one's own place", async () => {
  const page = await person(browser, PHONE);
  await page.goto(`${node.url}/`);
  await page.locator("input[type=search]").fill("sai gon");
  await page.locator(".found button", { hasText: "Sài Gòn" }).first().click();
  await page.locator("[data-line=websocket]").waitFor();
  await page.goto(`${node.url}/alerts/${id}`);
  await page.getByText("Xem trên bản đồ").click();
  await page.locator(".area-map path.whole").first().waitFor();
  assert.equal(await page.locator(".area-map path.whole").count(), 2);
  assert.equal(await page.locator(".area-map path.own").count(), 1);
  await page.locator(".area-map text", { hasText: "Sài Gòn" }).waitFor();
  assert.deepEqual(page.faults, []);
});

test("active and past alerts are public pages with their CAP message", async () => {
  const brief = alert([UNIT], { headline: "Đã rút" });
  const gone = await publish(node, key, brief);
  const withdrawn = await fetch(`${node.url}/v1/alerts/${gone}/cancel`, {
    method: "POST", headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json" }, body: "{}",
  });
  assert.ok(withdrawn.ok, await withdrawn.text());
  const page = await person(browser, PHONE);
  await page.goto(`${node.url}/#past`);
  const past = page.locator("article", { hasText: "Đã rút" });
  await past.first().waitFor();
  await page.goto(`${node.url}/alerts/${gone}`);
  await page.locator("h1", { hasText: "Đã rút" }).waitFor();
  await page.getByText("Cảnh báo này đã được thu hồi").waitFor();
  await page.locator(".timeline li").nth(1).waitFor();
  const href = await page.getByRole("link", { name: "Bản CAP gốc" }).getAttribute("href");
  assert.match(await (await fetch(node.url + href)).text(), /<identifier>/);
  await page.goto(`${node.url}/alerts/00000000-0000-0000-0000-000000000000`);
  await page.locator("h1", { hasText: "Không tìm thấy" }).waitFor();
});

test("the page can be installed", async () => {
  const page = await person(browser, PHONE);
  await page.goto(`${node.url}/`);
  await page.evaluate(() => navigator.serviceWorker.ready);
  const session = await page.context().newCDPSession(page);
  const { errors, data } = await session.send("Page.getAppManifest");
  assert.deepEqual(errors, []);
  const manifest = JSON.parse(data);
  assert.ok(manifest.name && manifest.start_url && manifest.display === "standalone");
  const { installabilityErrors } = await session.send("Page.getInstallabilityErrors");
  // A private window, as every test's is, cannot install; nothing else may stand in the way.
  assert.deepEqual(installabilityErrors.map(({ errorId }) => errorId).filter((error) => error !== "in-incognito"), []);
});

test("subscribes to Web Push with the node's key, and shows what comes while it is closed", async () => {
  const page = await person(browser, { ...PHONE, permissions: ["notifications"] });
  // The browser's push service is out in the world; its subscription is made here.
  await page.addInitScript(() => {
    const point = () => crypto.subtle.generateKey({ name: "ECDH", namedCurve: "P-256" }, true, ["deriveBits"])
      .then(({ publicKey }) => crypto.subtle.exportKey("raw", publicKey));
    const text = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
    PushManager.prototype.subscribe = async function (options) {
      window.subscribed = options;
      const keys = { p256dh: text(await point()), auth: text(crypto.getRandomValues(new Uint8Array(16))) };
      return { toJSON: () => ({ endpoint: "https://fcm.googleapis.com/fcm/send/e2e", expirationTime: null, keys }) };
    };
  });
  await page.goto(`${node.url}/`);
  await page.locator("input[type=search]").fill("sai gon");
  await page.locator(".found button", { hasText: "Sài Gòn" }).first().click();
  await page.locator("[data-line=websocket]").waitFor();
  await page.getByRole("link", { name: "Cài đặt" }).click();
  const push = page.getByLabel(/Vẫn báo cho tôi/);
  const told = page.waitForRequest((request) => request.method() === "PUT" && request.url().includes("/v1/devices/"));
  await push.click();
  const device = (await told).postDataJSON();
  await until(() => push.isChecked());
  const { application_server_key } = await (await fetch(`${node.url}/v1/push/vapid`)).json();
  assert.deepEqual(await page.evaluate(() => window.subscribed), { userVisibleOnly: true, applicationServerKey: application_server_key });
  assert.equal(device.address.channel, "webpush");
  assert.equal((await (await told).response()).status(), 200, "the node takes the address");

  const session = await page.context().newCDPSession(page);
  const found = new Promise((done) => session.on("ServiceWorker.workerRegistrationUpdated", ({ registrations }) => registrations[0] && done(registrations[0])));
  await session.send("ServiceWorker.enable");
  const { registrationId } = await found;
  const message = { title: "Ngập sâu ven sông", body: "Đưa xe lên cao.", loa: { publication: id, chain: id, lane: "emergency", url: `/v1/alerts/${id}` } };
  await session.send("ServiceWorker.deliverPushMessage", { origin: node.url, registrationId, data: JSON.stringify(message) });
  const shown = () => page.evaluate(async () => {
    const worker = await navigator.serviceWorker.ready;
    return (await worker.getNotifications()).map(({ title, body, tag, requireInteraction, data }) => ({ title, body, tag, requireInteraction, url: data.url }));
  });
  await until(async () => (await shown()).length === 1);
  assert.deepEqual(await shown(), [{ title: message.title, body: message.body, tag: id, requireInteraction: true, url: `/alerts/${id}` }]);
  await push.click();
  await until(async () => !(await push.isChecked()));
  assert.deepEqual(page.faults, []);
});
