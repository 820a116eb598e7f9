// Twenty thousand simulated devices: the screen ends with the API's figures and stays fluent.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, login, longTasks, person, watchTasks } from "./support/browser.mjs";
import { alert, Node, publish } from "./support/node.mjs";

const CITIZENS = Number(process.env.CITIZENS ?? 20_000);
const LONG_TASK_MS = 200;

let browser, node;

before(async () => {
  node = new Node();
  await node.demo(CITIZENS);
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await node?.end();
});

test(`${CITIZENS} devices: the funnel's last figures are the API's, and no task is long`, async (t) => {
  const password = node.output.match(/log in as minh .*password (\S+)/)[1];
  const key = node.output.match(/loa_[A-Za-z0-9_-]+/)[0];
  const page = await person(browser);
  await login(page, node, "minh", password);
  const { units } = await (await fetch(`${node.url}/v1/units`)).json();
  await page.goto(`${node.url}/console/watch`);
  await page.locator("nav.rail").waitFor();
  await page.waitForTimeout(1500);
  await watchTasks(browser, page);
  const id = await publish(node, key, alert(units.map(({ code }) => code), { headline: "Cả thành phố" }));
  await page.locator(`a[href="/console/watch/${id}"]`).first().click();
  await page.locator("[data-test=total-targeted]").waitFor();

  const ask = async () => (await fetch(`${node.url}/v1/publications/${id}/funnel`, { headers: { Authorization: `Bearer ${key}` } })).json();
  let funnel = await ask();
  const end = Date.now() + 120_000;
  for (let still = 0; still < 4 && Date.now() < end; ) {
    await page.waitForTimeout(700);
    const next = await ask();
    still = next.open_dispatches === 0 && JSON.stringify(next.total) === JSON.stringify(funnel.total) ? still + 1 : 0;
    funnel = next;
  }
  assert.ok(funnel.total.targeted > CITIZENS * 0.5, `${funnel.total.targeted} targeted`);
  for (const stage of ["targeted", "sent", "accepted", "received", "shown", "acknowledged"]) {
    const wanted = String(funnel.total[stage]);
    await page.waitForFunction(
      ([name, value]) => document.querySelector(`[data-test=total-${name}]`)?.dataset.value === value, [stage, wanted], { timeout: 10_000 },
    );
  }
  const tasks = await longTasks(browser);
  t.diagnostic(`${funnel.total.targeted} targeted, ${funnel.total.received} received; tasks over 50 ms: ${tasks.join(", ") || "none"}`);
  assert.ok(Math.max(0, ...tasks) <= LONG_TASK_MS, `tasks of ${tasks} ms`);
  assert.deepEqual(page.faults, []);
});
