// A browser and its push service as the npm package web-push-testing plays them: makes a
// subscription, then checks and decrypts what Loa sent to it. Lines of JSON in and out.
// usage: node browser.mjs <path of web-push-testing> <endpoint's beginning> <applicationServerKey>
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const [path, notifyUrl, applicationServerKey] = process.argv.slice(2);
const { PushApiModel } = createRequire(import.meta.url)(`${path}/src/PushApiModel.js`);
// The package logs what it refuses; standard output is for answers.
console.error = () => {};

const service = new PushApiModel();
service.notifyUrl = notifyUrl;
const { endpoint, keys, clientHash } = await service.subscribe({
  userVisibleOnly: "true",
  applicationServerKey,
});
console.log(JSON.stringify({ name: clientHash, subscription: { endpoint, keys } }));

for await (const line of createInterface({ input: process.stdin })) {
  const { headers, body } = JSON.parse(line);
  try {
    await service.handleNotification(clientHash, headers, Buffer.from(body, "base64"));
    const { messages } = service.getNotifications({ clientHash });
    console.log(JSON.stringify({ message: messages.at(-1) }));
  } catch (error) {
    console.log(JSON.stringify({ refused: error.message }));
  }
}
