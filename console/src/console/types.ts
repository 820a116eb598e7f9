// What the node's console paths answer.
import type { Circle, Geometry, Point } from "../shared/geo";
import type { Certainty, Severity, Urgency } from "../shared/levels";

export type Right = "write" | "approve" | "override" | "operate" | "admin";
export const CHANNELS = ["websocket", "apns", "fcm", "webpush"] as const;
export type Channel = (typeof CHANNELS)[number];
export type ByChannel = Partial<Record<Channel, number>>;
export type Lang = "vi" | "en";

export interface Person { id: string; name: string; agency: string; rights: Right[]; active?: boolean }
export interface Jurisdiction {
  units?: string[]; categories?: string[]; highest_severity: Severity; kinds: string[];
}
export interface Agency { id: string; name: string; jurisdiction: Jurisdiction; operator: boolean; signature_required?: boolean }
export interface Session {
  person: Person; agency: Agency; csrf: string; expires_at: string;
  boundaries: "approximate" | "imported"; simulated: boolean; version: string; exercise_only: boolean;
}

export interface Unit {
  code: string; name: string; kind: string; area_km2: number; centroid: Point; devices: ByChannel;
}
export interface Feature { properties: { code: string }; geometry: Geometry }
export interface Units {
  boundaries: string; units: Unit[]; geojson: { features: Feature[] };
}

export interface Words { event: string; headline: string; description: string; instruction: string }
export interface Template {
  id: string; hazard: string; category: string; severity: Severity; urgency: Urgency;
  certainty: Certainty; response_types: string[]; level: number; texts: Record<Lang, Words>;
  expires_minutes: number;
}

export interface NamedValue { name: string; value: string }
export interface Area {
  description: string; polygons?: Point[][]; circles?: Circle[]; geocodes?: NamedValue[];
}
export interface Resource { description: string; mime_type: string; uri: string }
export interface Info {
  language: string; categories: string[]; event: string; response_types?: string[];
  urgency: Urgency; severity: Severity; certainty: Certainty; expires?: string;
  sender_name?: string; headline?: string; description?: string; instruction?: string;
  web?: string; contact?: string; parameters?: NamedValue[]; resources?: Resource[]; areas?: Area[];
}
export interface AlertBody { infos?: Info[]; note?: string; texts?: Partial<Record<Lang, Partial<Words>>> }
export interface Option { id: string; texts: Partial<Record<Lang, string>> }
export interface Question {
  id: string; kind: "single" | "multiple" | "scale" | "text"; texts: Partial<Record<Lang, string>>;
  options?: Option[]; min?: number; max?: number; required?: boolean;
}
export interface NoticeBody {
  kind: "news" | "survey"; texts: Partial<Record<Lang, { title: string; body: string }>>;
  web?: string; expires: string; questions?: Question[];
  target?: { units?: string[]; polygons?: Point[][]; circles?: Circle[] };
}

export type DraftKind = "alert" | "update" | "cancel" | "notice";
export type DraftState =
  | "editing" | "submitted" | "returned" | "approved" | "rejected" | "published" | "overridden";
export interface NewDraft {
  kind: DraftKind; of?: string; body: AlertBody | NoticeBody; exercise?: boolean;
}
export interface Draft extends NewDraft {
  id: string; agency: string; state: DraftState; version: number; created_by: string;
  created_at: string; updated_at: string; submitted_by?: string; decided_by?: string;
  decided_at?: string; reason?: string; publication?: string;
}

export interface Forecast {
  devices: number; per_second: number; limited_by: string; p50_ms: number; p99_ms: number;
  last_ms: number;
}
export interface Finding { path: string; rule: string; grade: "error" | "warning"; message: string }
export interface PreviewUnit { code: string; name: string; share: number; channels: ByChannel }
export interface Payload { title: string; body: string; bytes: number }
export interface Preview {
  lane: string; hot: boolean; needs_second_person: boolean;
  audience: {
    boundaries: string; units: PreviewUnit[]; devices: number; channels: ByChannel; coarse: number;
  };
  forecast: Partial<Record<Channel, Forecast>>; warnings: Finding[];
  payloads: Partial<Record<"apns" | "fcm" | "webpush", Partial<Record<Lang, Payload>>>>;
  trespass: (string | { message: string })[];
}

export interface Counts {
  targeted: number; sent: number; accepted: number; received: number; shown: number;
  acknowledged: number; failed: Record<string, number>; expired: number; superseded: number;
  dead: number; skipped: number; waiting: number; repeated: number;
}
export interface Funnel {
  total: Counts; channels: Partial<Record<Channel, Counts>>; units: Record<string, Counts>;
  open_dispatches: number;
  forecast?: Partial<Record<Channel, { expected: Forecast; fact: Fact }>>;
}
export interface Fact { accepted: number; p50_ms?: number; p99_ms?: number; last_ms?: number }
export interface Latency { p50?: number; p99?: number; last?: number }
export interface FunnelEvent extends Funnel { id: string; latency?: Latency; providers?: Provider[] }

export interface Row {
  id: string; chain: string; kind: string; action: string; agency: string; lane: string;
  severity?: Severity; level?: number; headline: string; accepted_at: string; expires: string;
  state: "live" | "expired" | "superseded" | "cancelled"; exercise: boolean; units: string[];
  superseded_by?: string;
}
export interface Decided {
  submitted_by?: string; approved_by?: string; overridden_by?: string; reason?: string; at?: string;
}
export interface Rate { at: string; sent: number; accepted: number; received: number; shown: number }
export interface Detail {
  publication: Row & { alert?: AlertBody; notice?: NoticeBody; decided?: Decided; signed_by?: { certificate: string; fingerprint: string } };
  funnel: Funnel & { latency?: Latency }; chain: Row[]; rates: Rate[];
  unreached: { unit: string; count: number }[]; latency?: Latency;
  answers?: { safe: Record<string, number>; help: Record<string, number> };
  survey?: Survey;
}
export interface Survey {
  answered?: number;
  questions: (Question & {
    tally?: Record<string, number>; mean?: number; answers?: string[]; count?: number;
  })[];
}

export interface Provider {
  channel: Channel; configured?: boolean; simulated?: boolean; apps?: string[];
  consecutive_failures: number; misconfigured?: string | boolean | null; removal_paused: boolean;
  in_flight?: number; per_second?: number; credentials?: Credentials | null;
}
export interface Credentials {
  kind: "token_key" | "certificate" | "each_app" | "service_account" | "workload_identity" | "vapid_key";
  key_id?: string | null; team_id?: string | null;
  source: "file" | "settings" | "platform" | "node"; file?: string | null;
}
export interface AuditEntry {
  seq: number; at: string; actor: string; act: string; object: string; verdict: string;
  reason?: string; hash: string;
}
export interface Canary {
  unit: string; device: string; last_sent_at?: string | null; last_received_at?: string | null;
  ok: boolean;
}
export interface Drills {
  canaries: Canary[]; schedule_minutes: number;
  history: { at: string; sent: number; received: number; ms_p50?: number | null }[];
}
export interface Letter {
  partition: number; offset: number; source: string; code: string; detail: string; field?: string;
  at: string; tries: number; payload_bytes: number;
}
export interface Key {
  name: string; rights?: Right[]; created_at: string; last_used_at?: string; revoked_at?: string;
  /** SHA-256 of the client certificate that it needs. */
  certificate?: string;
}
export interface Certificate {
  name: string; fingerprint: string; subject: string; kind: string; bits: number; not_before: string; not_after: string;
}
export interface AdminRequest {
  id: string; act: string; object: string; by: string; at: string; state: string;
  decided_by?: string;
}
/** Words that came with answers; shown to the agency that asked and to nobody else. */
export interface Said { question: string; unit?: string; at: string; text: string }
