// The service worker: keeps the page itself, so that it opens without a line, and shows what is
// pushed while it is closed. Alerts are kept by the page, which knows how old they are.
declare const self: ServiceWorkerGlobalScope;
export {};

const CACHE = "loa-1";
const PAGE = "/";

interface Message {
  title: string; body?: string; silent?: boolean;
  loa: { publication: string; chain: string; lane: string; exercise?: boolean; url?: string };
}

self.addEventListener("install", (event) => {
  event.waitUntil(keepPage().then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    caches.keys()
      .then((names) => Promise.all(names.filter((name) => name !== CACHE).map((name) => caches.delete(name))))
      .then(() => self.clients.claim()),
  );
});

/** The page and every file it names; those names change with their content. */
async function keepPage(): Promise<void> {
  const cache = await caches.open(CACHE);
  const response = await fetch(PAGE, { cache: "no-cache" });
  const html = await response.clone().text();
  const files = [...html.matchAll(/(?:src|href)="(\/(?:assets\/|icon|manifest)[^"]*)"/g)].map((found) => found[1]!);
  await cache.addAll([...new Set(files)]);
  await cache.put(PAGE, response);
}

self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (event.request.method !== "GET" || url.origin !== self.location.origin) return;
  const isPage = event.request.mode === "navigate" && (url.pathname === "/" || url.pathname.startsWith("/alerts/"));
  if (isPage) event.respondWith(fresh(event.request));
  else if (url.pathname.startsWith("/assets/") || /^\/(icon|manifest)/.test(url.pathname)) event.respondWith(kept(event.request));
});

/** A new page is better than a kept one, but not worth waiting for on a line that does not answer. */
async function fresh(request: Request): Promise<Response> {
  const stored = await caches.match(PAGE);
  const network = fetch(request).then(async (response) => {
    if (response.ok && new URL(request.url).pathname === PAGE) await (await caches.open(CACHE)).put(PAGE, response.clone());
    return response;
  });
  if (!stored) return network;
  const late = new Promise<Response>((done) => setTimeout(() => done(stored), 2_500));
  return Promise.race([network.catch(() => stored), late]);
}

/** Named by its content: what is kept is right. */
async function kept(request: Request): Promise<Response> {
  const stored = await caches.match(request);
  if (stored) return stored;
  const response = await fetch(request);
  if (response.ok) await (await caches.open(CACHE)).put(request, response.clone());
  return response;
}

self.addEventListener("push", (event) => {
  const message = event.data?.json() as Message | undefined;
  if (!message) return;
  const hot = message.loa.lane === "emergency";
  event.waitUntil(
    self.registration.showNotification(message.title, {
      body: message.body ?? "", tag: message.loa.chain, icon: "/icon-192.png", badge: "/icon-192.png",
      silent: message.silent ?? false, requireInteraction: hot, lang: "vi",
      data: { url: message.loa.url ? `/alerts/${message.loa.publication}` : "/#inbox" },
      ...({ renotify: true } as object),
    }),
  );
});

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  const { url } = event.notification.data as { url: string };
  event.waitUntil(self.clients.openWindow(url));
});
