// Live: a websocket that resumes where it was cut; where websockets do not get through, the event
// stream; without either, the public list once a minute.
import { createStore } from "../shared/store";
import { keepSetting, language, readSetting } from "../shared/language";
import { heard, receive, replace } from "./alerts";
import { ask, device, places, settle } from "./device";
import type { Publication } from "./types";

export type Line = "off" | "connecting" | "websocket" | "events";
export const line = createStore<Line>("off");

const POSITION = "loa.position";
const RETRY_MIN_MS = 1_000;
const RETRY_MAX_MS = 60_000;
/** After so many websockets that never said hello the event stream is tried. */
const FAILURES_BEFORE_EVENTS = 2;
/** The node pings at least this often; a line that is silent longer is dead. */
const SILENCE_MAX_MS = 45_000;
const POLL_MS = 60_000;

let socket: WebSocket | null = null;
let source: EventSource | null = null;
let timer: ReturnType<typeof setTimeout> | undefined;
let watchdog: ReturnType<typeof setTimeout> | undefined;
let wait = RETRY_MIN_MS;
let failures = 0;

interface Frame {
  type: string; position?: string; publication?: Publication; reconnect_after_ms?: number; recovered?: boolean;
}

/** Starts, or starts anew for another device. */
export function connect(): void {
  close();
  if (device.get() === null) {
    line.set("off");
    return;
  }
  line.set("connecting");
  if (failures >= FAILURES_BEFORE_EVENTS) void openEvents();
  else openSocket();
}

function close(): void {
  clearTimeout(timer);
  clearTimeout(watchdog);
  if (socket) socket.onclose = null;
  socket?.close();
  source?.close();
  socket = null;
  source = null;
}

function openSocket(): void {
  const { id, secret } = device.get()!;
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  let greeted = false;
  let mine: WebSocket;
  try {
    mine = new WebSocket(`${scheme}://${location.host}/v1/stream`);
  } catch {
    failures += 1;
    return later();
  }
  socket = mine;
  mine.onopen = () => {
    const position = readSetting(POSITION);
    mine.send(JSON.stringify({ type: "hello", device: id, secret, ...(position ? { position } : {}) }));
  };
  mine.onmessage = (event) => {
    alive();
    const frame = JSON.parse(String(event.data)) as Frame;
    if (frame.type === "hello") {
      greeted = true;
      failures = 0;
      wait = frame.reconnect_after_ms ?? RETRY_MIN_MS;
      line.set("websocket");
    }
    if (frame.type === "ping") mine.send('{"type":"pong"}');
    take(frame, (publication, stage) => mine.send(JSON.stringify({ type: "ack", publication, stage })));
  };
  mine.onclose = (event) => {
    if (!greeted) failures += 1;
    const reason = closeReason(event.reason);
    line.set("connecting");
    // Credentials the node does not know: the browser registers again.
    if (event.code === 4501 || event.code === 4504) return void renew();
    later(reason?.after_ms);
  };
}

function closeReason(text: string): { after_ms?: number } | null {
  try {
    return JSON.parse(text) as { after_ms?: number };
  } catch {
    return null;
  }
}

async function renew(): Promise<void> {
  keepSetting(POSITION, "");
  await settle().catch(() => undefined);
  later();
}

async function openEvents(): Promise<void> {
  try {
    const { ticket } = await ask<{ ticket: string }>("POST", "/v1/stream-tickets", {});
    const position = readSetting(POSITION);
    const query = new URLSearchParams({ ticket, ...(position ? { position } : {}) });
    source = new EventSource(`/v1/events?${query}`);
  } catch {
    failures = 0;
    return later();
  }
  const mine = source;
  const on = (name: string, act: (frame: Frame) => void) =>
    mine.addEventListener(name, (event) => {
      alive();
      act(JSON.parse((event as MessageEvent<string>).data || "{}") as Frame);
    });
  on("hello", (frame) => {
    wait = frame.reconnect_after_ms ?? RETRY_MIN_MS;
    line.set("events");
  });
  for (const name of ["publication", "live", "ping", "places"]) {
    on(name, (frame) => take({ ...frame, type: name }, receipt));
  }
  on("close", () => later());
  mine.onerror = () => {
    mine.close();
    // Websockets may work again by now.
    failures = 0;
    later();
  };
}

function receipt(publication: string, stage: string): void {
  void ask("POST", "/v1/receipts", { receipts: [{ publication, stage }] }).catch(() => undefined);
}

function take(frame: Frame, ack: (publication: string, stage: string) => void): void {
  if (frame.position) keepSetting(POSITION, frame.position);
  if (frame.type === "live") heard();
  if (frame.type !== "publication" || !frame.publication) return;
  const fresh = receive(frame.publication);
  ack(frame.publication.id, document.visibilityState === "visible" ? "shown" : "received");
  if (fresh && document.visibilityState === "visible" && !frame.publication.silent) vibrate(frame.publication);
}

function vibrate(publication: Publication): void {
  if (publication.lane === "emergency" && publication.action !== "cancel") navigator.vibrate?.([400, 150, 400]);
}

function alive(): void {
  clearTimeout(watchdog);
  watchdog = setTimeout(connect, SILENCE_MAX_MS);
}

function later(ms?: number): void {
  close();
  line.set("connecting");
  timer = setTimeout(connect, ms ?? wait);
  wait = Math.min(RETRY_MAX_MS, wait * 2);
}

/** The public list: what everybody may see, for the first look and for browsers without places. */
export async function poll(): Promise<void> {
  const response = await fetch("/v1/alerts/active");
  if (!response.ok) throw new Error(`HTTP ${response.status}`);
  const { alerts } = (await response.json()) as { alerts: Publication[] };
  const listed = Date.parse(response.headers.get("Date") ?? "");
  replace(alerts, Number.isNaN(listed) ? Date.now() : listed);
}

/** Everything that keeps the page fresh. */
export function begin(): void {
  void poll().catch(() => undefined);
  setInterval(() => {
    if (line.get() === "off") void poll().catch(() => undefined);
  }, POLL_MS);
  let before = device.get()?.id;
  device.subscribe(() => {
    if (device.get()?.id !== before) {
      before = device.get()?.id;
      connect();
    }
  });
  places.subscribe(() => void poll().catch(() => undefined));
  let lang = language.get();
  language.subscribe(() => {
    if (language.get() !== lang) {
      lang = language.get();
      void settle().catch(() => undefined);
    }
  });
  window.addEventListener("online", () => {
    wait = RETRY_MIN_MS;
    connect();
    void poll().catch(() => undefined);
  });
  // A dead line is not noticed for a while; the browser knows at once.
  window.addEventListener("offline", () => {
    if (device.get() !== null) later();
  });
  // A place that was chosen without a connection is told to the node now.
  if (device.get() === null) void settle().catch(() => undefined);
  connect();
}
