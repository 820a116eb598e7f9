// Publications under way in the development server: counts that grow as those of a node do.
import { randomUUID } from "node:crypto";

const STEP_MS = 500;
const LIFE_SECONDS = 12;

export class Deliveries {
  constructor(send) {
    this.send = send;
    this.all = [];
    setInterval(() => this.step(), STEP_MS).unref();
  }

  start(draft, preview, agency, person) {
    const id = randomUUID();
    const info = draft.body.infos?.[0] ?? {};
    const of = this.all.find((p) => p.row.id === draft.of);
    if (of) of.row.state = draft.kind === "cancel" ? "cancelled" : "superseded";
    const texts = Object.entries(draft.body.texts ?? {});
    const row = {
      id, chain: of?.row.chain ?? id, kind: draft.kind === "notice" ? "notice" : "alert",
      action: draft.kind === "notice" ? "alert" : draft.kind, agency: agency.id, lane: preview.lane,
      severity: info.severity ?? of?.row.severity,
      level: Number(info.parameters?.find((p) => p.name === "loa:disaster-level")?.value) || of?.row.level,
      headline: info.headline ?? texts[0]?.[1].headline ?? texts[0]?.[1].title ?? `Thu hồi: ${of?.row.headline}`,
      accepted_at: new Date().toISOString(), expires: info.expires ?? of?.row.expires ?? draft.body.expires, state: "live",
      exercise: draft.exercise, units: preview.audience.units.map((u) => u.code),
      alert: draft.body, decided: { submitted_by: draft.submitted_by, approved_by: `person:${person.id}`, at: new Date().toISOString() },
    };
    this.all.unshift({ row, units: preview.audience.units, forecast: preview.forecast, rates: [], began: Date.now() });
    this.send("publication", row);
    return id;
  }

  step() {
    for (const one of this.all) {
      const t = (Date.now() - one.began) / 1000;
      if (t > LIFE_SECONDS + 2) continue;
      const { total } = this.funnel(one);
      const before = one.last ?? { sent: 0, accepted: 0, received: 0, shown: 0 };
      const rate = (key) => Math.max(0, (total[key] - before[key]) / (STEP_MS / 1000));
      one.rates.push({ at: new Date().toISOString(), sent: rate("sent"), accepted: rate("accepted"), received: rate("received"), shown: rate("shown") });
      one.last = total;
      this.send("funnel", { id: one.row.id, ...this.funnel(one), latency: this.latency(), providers: this.providers() });
    }
  }

  funnel(one) {
    const t = Math.min(1, (Date.now() - one.began) / 1000 / LIFE_SECONDS);
    const empty = () => ({ targeted: 0, sent: 0, accepted: 0, received: 0, shown: 0, acknowledged: 0, failed: {}, expired: 0, superseded: 0, dead: 0, skipped: 0, waiting: 0, repeated: 0 });
    const funnel = { total: empty(), channels: {}, units: {}, cells: [], open_dispatches: t < 1 ? 40 : 0 };
    one.units.forEach((unit, index) => {
      for (const [channel, targeted] of Object.entries(unit.channels)) {
        const part = Math.min(1, t * (1.6 - (index % 5) / 8));
        const lost = index % 6 === 0 ? Math.round(targeted * 0.03) : 0;
        const sent = Math.round(targeted * part);
        const received = Math.max(0, Math.round(sent * 0.98) - lost);
        const counts = { ...empty(), targeted, sent, accepted: sent - lost, received, shown: Math.round(received * 0.9), acknowledged: Math.round(received * 0.2), failed: lost ? { provider_unavailable: lost } : {}, waiting: targeted - sent };
        for (const sum of [funnel.total, (funnel.channels[channel] ??= empty()), (funnel.units[unit.code] ??= empty())]) {
          for (const key in counts) if (key !== "failed") sum[key] += counts[key];
          for (const [reason, n] of Object.entries(counts.failed)) sum.failed[reason] = (sum.failed[reason] ?? 0) + n;
        }
      }
    });
    return funnel;
  }

  latency = () => ({ p50: 320, p99: 2100, last: 4300 });

  providers() {
    return ["apns", "fcm", "webpush"].map((channel) => ({ channel, configured: true, simulated: true, apps: ["vn.gov.hcmc.congdan"], consecutive_failures: channel === "fcm" ? 2 : 0, removal_paused: false, in_flight: 120, per_second: 4800, credentials: "key AB12…, from file, issued 2026-11-24 09:00" }));
  }

  answer([id, act], query, person, body) {
    if (id === undefined) {
      const live = query.get("state") === "live";
      const rows = this.all.map((one) => one.row).filter((row) => !live || row.state === "live");
      return { publications: rows };
    }
    const one = this.all.find((p) => p.row.id === id);
    if (act === "recall") {
      const draft = { kind: "cancel", of: id, body: { note: body.reason }, exercise: one.row.exercise };
      this.start(draft, { lane: one.row.lane, audience: { units: one.units }, forecast: one.forecast }, { id: one.row.agency }, person);
      this.send("publication", one.row);
      return {};
    }
    const funnel = { ...this.funnel(one), accepted_ms: { first_ms: 90, last_ms: 4300, buckets: [] }, forecast: Object.fromEntries(Object.entries(one.forecast).map(([c, expected]) => [c, { expected, fact: { accepted: 10, p50_ms: 300, p99_ms: 2000, last_ms: 4300 } }])) };
    const unreached = one.units.map((u) => ({ unit: u.code, count: funnel.units[u.code].targeted - funnel.units[u.code].received })).filter((u) => u.count > 0);
    const chain = this.all.map((p) => p.row).filter((row) => row.chain === one.row.chain).reverse();
    return { publication: one.row, funnel, chain, rates: one.rates, unreached, answers: { safe: { [one.units[0]?.code]: 31 }, help: { [one.units[0]?.code]: 4 } }, latency: this.latency() };
  }

  views(live) {
    return this.all.filter((one) => !live || one.row.state === "live").map(({ row, units }) => ({
      ...row, supersedes: [], coarse: false, silent: false, area: { boundaries: "approximate", vintage: "2025-07", units: units.map((u) => u.code), descriptions: [] },
      texts: (row.alert.infos ?? []).map((info) => ({ language: info.language, title: info.headline, body: info.description, instruction: info.instruction, event: info.event, sender: info.sender_name })),
      cap: `/v1/cap/${row.id}.xml`,
    }));
  }
}
