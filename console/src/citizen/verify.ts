// Whether an alert is genuine: its signature over the CAP message, by a key that the city publishes.
// Only EdDSA with an Ed25519 key is taken, whatever the signature's own head asks for.
import type { Publication, Text } from "./types";

export type Verdict = "genuine" | "false" | "unsigned" | "unable" | "unreachable";

interface Key { kty?: string; crv?: string; x?: string; kid?: string }

const bytesOf = (text: string): Uint8Array<ArrayBuffer> => {
  const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(binary, (one) => one.charCodeAt(0));
};

const encoded = (bytes: Uint8Array): string => {
  let binary = "";
  for (const one of bytes) binary += String.fromCharCode(one);
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
};

/** Whether a detached JWS is over this document, by one of these keys. */
export async function isGenuine(jws: string, document: Uint8Array, keys: Key[]): Promise<Verdict> {
  const [head, middle, tail, more] = jws.split(".");
  if (!head || middle !== "" || !tail || more !== undefined) return "false";
  let header: { alg?: unknown; kid?: unknown; crit?: unknown };
  try {
    header = JSON.parse(new TextDecoder().decode(bytesOf(head))) as typeof header;
  } catch {
    return "false";
  }
  if (header.alg !== "EdDSA" || header.crit !== undefined) return "false";
  const jwk = keys.find((key) => key.kid === header.kid && key.kty === "OKP" && key.crv === "Ed25519");
  if (!jwk?.x) return "false";
  let key: CryptoKey;
  try {
    key = await crypto.subtle.importKey("raw", bytesOf(jwk.x), { name: "Ed25519" }, false, ["verify"]);
  } catch {
    return "unable";
  }
  const input = new TextEncoder().encode(`${head}.${encoded(document)}`);
  return (await crypto.subtle.verify({ name: "Ed25519" }, key, bytesOf(tail), input)) ? "genuine" : "false";
}

const flat = (text: string | null | undefined): string => (text ?? "").replace(/\s+/g, " ").trim();

/** Whether a CAP message says these words: what is signed must be what is on the screen. */
export function says(document: string, texts: Text[]): boolean {
  const parsed = new DOMParser().parseFromString(document, "application/xml");
  if (parsed.getElementsByTagName("parsererror").length > 0) return false;
  const infos = [...parsed.getElementsByTagNameNS("*", "info")].map((info) => {
    const of = (name: string) => flat([...info.children].find((one) => one.localName === name)?.textContent);
    return [of("headline") || of("event"), of("description"), of("instruction")];
  });
  return texts.every(({ title, event, body, instruction }) => {
    const shown = [flat(title) || flat(event), flat(body), flat(instruction)];
    return infos.some((info) => info.every((part, i) => part === shown[i]));
  });
}

/** Fetches what is needed and says what it finds. */
export async function verdictOf(publication: Publication): Promise<Verdict> {
  if (!publication.cap || !publication.signature) return "unsigned";
  if (!globalThis.crypto?.subtle) return "unable";
  try {
    const [cap, jwks] = await Promise.all([fetch(publication.cap), fetch("/.well-known/jwks.json")]);
    if (!cap.ok || !jwks.ok) return "unreachable";
    const { keys } = (await jwks.json()) as { keys: Key[] };
    const document = new Uint8Array(await cap.arrayBuffer());
    const verdict = await isGenuine(publication.signature, document, keys);
    const shown = verdict !== "genuine" || says(new TextDecoder().decode(document), publication.texts);
    return shown ? verdict : "false";
  } catch {
    return "unreachable";
  }
}
