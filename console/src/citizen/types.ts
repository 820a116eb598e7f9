// What the node tells citizens.
export interface Text {
  language: string; title: string; body?: string; instruction?: string; event?: string;
  sender?: string; areas?: string[]; web?: string; contact?: string;
}
export interface Option { id: string; texts: { vi?: string; en?: string } }
export interface Question {
  id: string; kind: "single" | "multiple" | "scale" | "text"; texts: { vi?: string; en?: string };
  options?: Option[]; min?: number; max?: number; required?: boolean;
}
export interface Publication {
  id: string; chain: string; kind: "alert" | "status_change" | "notice";
  action: "alert" | "update" | "cancel"; lane: string; severity?: string; level?: number;
  agency: string; agency_name?: string; accepted_at: string; expires: string; supersedes?: string[]; exercise: boolean;
  coarse: boolean; silent: boolean;
  area?: { boundaries: string; vintage: string; units: string[]; descriptions?: string[] };
  texts: Text[];
  status?: { reference: string; state: string; changed_at: string; step: number; remark?: string; kind?: string };
  cap?: string; signature?: string; questions?: Question[];
}
export interface Unit { code: string; name: string; kind: string }
export interface Config {
  city: string; boundaries: string; push?: { vapid?: string | null };
  oidc?: { login: string };
}
export interface Device { id: string; secret: string }
export interface Place { code: string; name: string }
