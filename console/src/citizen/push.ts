// Web Push: the browser's own channel for warnings while the page is closed.
import { ask } from "./device";

export function canPush(): boolean {
  return "serviceWorker" in navigator && "PushManager" in window && "Notification" in window;
}

/** Subscribes with the node's key; gives the address the node wants. */
export async function subscribe(): Promise<object> {
  const { application_server_key } = await ask<{ application_server_key: string }>("GET", "/v1/push/vapid", undefined, {});
  if ((await Notification.requestPermission()) !== "granted") throw new Error("not granted");
  const worker = await navigator.serviceWorker.ready;
  const subscription = await worker.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: application_server_key });
  return { channel: "webpush", ...subscription.toJSON() };
}

export async function unsubscribe(): Promise<null> {
  const worker = await navigator.serviceWorker.ready;
  await (await worker.pushManager.getSubscription())?.unsubscribe();
  return null;
}
