// A development server that answers the console's contract from memory, so that the pages can be
// worked on without a node. `npm run dev` uses it; `LOA_NODE=http://… npm run dev` a real one instead.
import { randomUUID } from "node:crypto";
import { geojson, match, search, units } from "./city.mjs";
import { Deliveries } from "./deliveries.mjs";
import { templates } from "./templates.mjs";

const PEOPLE = {
  lan: { id: "lan", name: "Nguyễn Thị Lan", agency: "ubnd", rights: ["write"], active: true },
  minh: { id: "minh", name: "Trần Quang Minh", agency: "ubnd", rights: ["write", "approve", "override"], active: true },
  ops: { id: "ops", name: "Lê Hải", agency: "ubnd", rights: ["write", "approve", "override", "operate", "admin"], active: true },
};
const AGENCY = {
  id: "ubnd", name: "Ban Chỉ huy PCTT & TKCN Thành phố", operator: true,
  jurisdiction: { highest_severity: "Extreme", kinds: ["alert", "notice"] },
};

const state = { sessions: new Map(), drafts: [], streams: new Set(), audit: [], deliveries: null, exercises: [] };
state.deliveries = new Deliveries(send);

function send(event, data) {
  for (const stream of state.streams) stream.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
}

class Refusal extends Error {
  constructor(status, code, detail, errors = []) {
    super(detail);
    this.body = { type: `urn:loa:problem:${code}`, status, code, title: code, detail, errors };
  }
}

function audit(actor, act, object) {
  const seq = state.audit.length + 1;
  state.audit.unshift({ seq, at: new Date().toISOString(), actor, act, object, verdict: "done", hash: randomUUID().replaceAll("-", "") });
}

function preview(draft) {
  const infos = draft.body.infos ?? [];
  const areas = draft.kind === "notice" ? [] : infos.flatMap((info) => info.areas ?? []);
  const matched = match(areas);
  const channels = { websocket: 0, apns: 0, fcm: 0, webpush: 0 };
  for (const { unit } of matched) for (const c in channels) channels[c] += unit.devices[c];
  const devices = Object.values(channels).reduce((a, b) => a + b, 0);
  const severity = infos[0]?.severity;
  const hot = draft.kind !== "notice" && ["Extreme", "Severe"].includes(severity);
  const forecast = Object.fromEntries(Object.entries(channels).map(([c, n]) => [c, { devices: n, per_second: 5000, limited_by: "quota", p50_ms: 120 + n, p99_ms: 400 + 2 * n, last_ms: 500 + 2 * n }]));
  const words = (lang) => {
    const info = infos.find((i) => i.language.startsWith(lang));
    return { title: info?.headline ?? "", body: [info?.instruction, info?.description].filter(Boolean).join(" "), bytes: Buffer.byteLength(JSON.stringify(info ?? "")) };
  };
  const both = () => ({ vi: words("vi"), en: words("en") });
  const warnings = [];
  infos.forEach((info, i) => {
    if (!info.headline) warnings.push({ path: `infos[${i}].headline`, rule: "headline", grade: "warning", message: "a headline is missing" });
    if (hot && !info.instruction) warnings.push({ path: `infos[${i}].instruction`, rule: "action", grade: "error", message: "say what people should do" });
  });
  return {
    lane: hot ? "emergency" : "routine", hot, needs_second_person: hot, trespass: [], warnings, forecast,
    audience: { boundaries: "approximate", devices, channels, coarse: matched.filter((m) => m.share < 1).length * 3, units: matched.map(({ unit, share }) => ({ code: unit.code, name: unit.name, share, channels: unit.devices })) },
    payloads: { apns: both(), fcm: both(), webpush: both() },
  };
}

function move(draft, person, act, body) {
  const from = draft.state;
  const next = { submit: "submitted", return: "returned", reject: "rejected", approve: "published", override: "overridden", publish: "published" }[act];
  if (body.version !== undefined && body.version !== draft.version) throw new Refusal(409, "conflict", "the draft has changed since you read it");
  if (act === "approve" && draft.submitted_by === `person:${person.id}`) throw new Refusal(403, "same_person", "the one who submitted a draft cannot approve it");
  const allowed = act === "submit" || act === "publish" || act === "override" ? ["editing", "returned", "submitted"] : ["submitted"];
  if (!allowed.includes(from)) throw new Refusal(409, "illegal_transition", `a draft that is ${from} cannot become ${next}`);
  draft.state = next;
  draft.version += 1;
  draft.updated_at = new Date().toISOString();
  if (act === "submit") draft.submitted_by = `person:${person.id}`;
  else Object.assign(draft, { decided_by: `person:${person.id}`, decided_at: draft.updated_at, reason: body.reason });
  if (next === "published" || next === "overridden") draft.publication = state.deliveries.start(draft, preview(draft), AGENCY, person);
  audit(`person:${person.id}`, act, draft.id);
  send("drafts", draft);
  return draft;
}

const session = (person) => ({
  person, agency: AGENCY, csrf: "csrf", boundaries: "approximate", simulated: true, version: "0.1.0-dev",
  exercise_only: false, expires_at: new Date(Date.now() + 8 * 3600_000).toISOString(),
});

function drafts(person, method, [id, act], body) {
  if (id === undefined && method === "GET") return { drafts: state.drafts };
  if (id === undefined) {
    const now = new Date().toISOString();
    const draft = { id: randomUUID(), agency: AGENCY.id, state: "editing", version: 1, created_by: `person:${person.id}`, created_at: now, updated_at: now, exercise: false, ...body };
    state.drafts.unshift(draft);
    audit(`person:${person.id}`, "create", draft.id);
    send("drafts", draft);
    return draft;
  }
  const draft = state.drafts.find((d) => d.id === id);
  if (draft === undefined) throw new Refusal(404, "not_found", "no such draft");
  if (act === "preview") return preview(draft);
  if (act !== undefined) return move(draft, person, act, body);
  if (method === "PUT") Object.assign(draft, { body: body.body, version: draft.version + 1, state: "editing" });
  if (method === "DELETE") state.drafts = state.drafts.filter((d) => d !== draft);
  return draft;
}

function console_(person, method, path, query, body) {
  const [room, ...rest] = path;
  switch (room) {
    case "session": return session(person);
    case "logout": return {};
    case "units": return { boundaries: "approximate", units, geojson };
    case "templates": return { templates };
    case "drafts": return drafts(person, method, rest, body);
    case "preview": return preview(body);
    case "publications": return state.deliveries.answer(rest, query, person, body);
    case "providers": return { providers: state.deliveries.providers() };
    case "dead-letters": return { letters: [{ partition: 0, offset: 4, source: "loa.submissions", code: "bad_cap", detail: "expires is required: every alert ends", field: "/alert/info[1]/expires", at: new Date().toISOString(), tries: 1, payload_bytes: 2311 }], partitions: 1 };
    case "agencies": if (rest[1] === "certificates") return { certificates: [{ name: "truc-ban", fingerprint: "5c4af898".repeat(8), subject: "CN=Trực ban, O=Ban chỉ huy", kind: "p256", bits: 256, not_before: "2026-01-01T00:00:00Z", not_after: "2028-01-01T00:00:00Z" }] };
      return rest[1] === "keys" ? { keys: [{ name: "may-chu-thuy-van", created_at: "2026-07-01T00:00:00Z" }], key: "loa_demo_once" } : { agencies: [AGENCY] };
    case "people": return { people: Object.values(PEOPLE) };
    case "requests": return { requests: [] };
    case "audit": return { entries: state.audit, verified: true };
    case "drills": {
      const at = new Date().toISOString();
      return { schedule_minutes: 5, canaries: units.slice(0, 12).map((u, i) => ({ unit: u.code, device: `canary-${i}`, last_sent_at: at, last_received_at: i === 3 ? null : at, ok: i !== 3 })), history: Array.from({ length: 24 }, (_, i) => ({ at: new Date(Date.now() - i * 300_000).toISOString(), sent: 168, received: i === 5 ? 160 : 168, ms_p50: 40 + ((i * 17) % 30) })) };
    }
    default: throw new Refusal(404, "not_found", "this path does not exist");
  }
}

function citizen(path, query) {
  if (path === "/v1/config") return { city: "hcmc", boundaries: "approximate", push: {}, survey: true };
  if (path === "/v1/units") return { boundaries: "approximate", vintage: "2025-07", units: (query.get("search") ? search(query.get("search")) : units).map((u) => ({ ...u, centre: u.centroid })) };
  if (path === "/v1/alerts/active") return { boundaries: "approximate", alerts: state.deliveries.views(true) };
  if (path === "/v1/alerts/recent") return { alerts: state.deliveries.views(false) };
  const one = path.match(/^\/v1\/alerts\/([^/]+)\/public$/);
  if (one) {
    const publication = state.deliveries.views(false).find((view) => view.id === one[1]);
    return { publication, shapes: { polygons: [], circles: [] }, chain: [publication] };
  }
  if (path === "/v1/devices") return { id: randomUUID(), secret: "secret" };
  if (path === "/v1/answers" || path === "/v1/receipts") return {};
  throw new Refusal(404, "not_found", "this path does not exist");
}

async function bodyOf(request) {
  let text = "";
  for await (const part of request) text += part;
  return text === "" ? {} : JSON.parse(text);
}

async function answer(request, response) {
  const url = new URL(request.url, "http://localhost");
  const reply = (status, body, headers = {}) => {
    response.writeHead(status, { "Content-Type": "application/json", ...headers });
    response.end(JSON.stringify(body));
  };
  try {
    const body = ["POST", "PUT"].includes(request.method) ? await bodyOf(request) : {};
    const rest = url.pathname.split("/").slice(3);
    if (!url.pathname.startsWith("/v1/console/")) return reply(200, citizen(url.pathname, url.searchParams));
    if (rest[0] === "login") {
      const person = PEOPLE[body.person];
      if (person === undefined) throw new Refusal(401, "unauthorized", "name or password are wrong");
      return reply(200, session(person), { "Set-Cookie": `loa_session=${person.id}; HttpOnly; SameSite=Strict; Path=/` });
    }
    const person = PEOPLE[(request.headers.cookie ?? "").match(/loa_session=(\w+)/)?.[1]];
    if (person === undefined) throw new Refusal(401, "unauthorized", "log in first");
    if (rest[0] === "events") {
      response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
      response.write("event: ping\ndata: {}\n\n");
      state.streams.add(response);
      request.on("close", () => state.streams.delete(response));
      return undefined;
    }
    if (rest[0] === "logout") return reply(200, {}, { "Set-Cookie": "loa_session=; Max-Age=0; Path=/" });
    return reply(200, console_(person, request.method, rest, url.searchParams, body));
  } catch (error) {
    const problem = error instanceof Refusal ? error.body : { status: 500, code: "internal", title: "internal", detail: String(error), errors: [] };
    return reply(problem.status, problem);
  }
}

function middleware(request, response, next) {
  const path = request.url.split("?")[0];
  if (path.startsWith("/v1/")) return void answer(request, response);
  if (path === "/console" || path.startsWith("/console/")) request.url = "/console/index.html";
  else if (/^\/alerts\/[\w-]+$/.test(path)) request.url = "/index.html";
  return next();
}

export function mock() {
  const node = process.env.LOA_NODE;
  const proxy = node ? { "/v1": { target: node, ws: true }, "/plain": node } : {};
  const use = (server) => void server.middlewares.use(node ? pagesOnly : middleware);
  const pagesOnly = (request, response, next) =>
    request.url.startsWith("/v1/") ? next() : middleware(request, response, next);
  return {
    name: "loa-mock",
    config: () => ({ server: { proxy }, preview: { proxy } }),
    configureServer: use,
    configurePreviewServer: use,
  };
}
