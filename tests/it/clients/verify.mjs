// Verifies an alert as an app would, with Node's own cryptography: fetches the alert, its CAP
// document and the keys, and tries forgeries on the same verifier. Arguments: the node's URL, the
// publication's id. Prints {"genuine", "kid", "keys", "forgeries": {name: believed}}.
import { createHash, createHmac, createPublicKey, generateKeyPairSync, sign, verify } from "node:crypto";

const [, , base, id] = process.argv;
const b64 = (bytes) => Buffer.from(bytes).toString("base64url");
const get = async (path) => {
  const answer = await fetch(base + path);
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer;
};

/** RFC 7638: the name must be the key's own. */
const thumbprint = ({ crv, kty, x }) =>
  createHash("sha256").update(JSON.stringify({ crv, kty, x })).digest("base64url");

/** A detached JWS by EdDSA with an Ed25519 key of the set, and nothing else. */
function genuine(jws, document, keys) {
  const parts = jws.split(".");
  if (parts.length !== 3 || parts[1] !== "") return false;
  const header = JSON.parse(Buffer.from(parts[0], "base64url").toString());
  if (header.alg !== "EdDSA" || header.crit !== undefined) return false;
  const jwk = keys.find((key) => key.kid === header.kid && key.kty === "OKP" && key.crv === "Ed25519");
  if (!jwk || thumbprint(jwk) !== jwk.kid) return false;
  const input = Buffer.from(`${parts[0]}.${b64(document)}`);
  const key = createPublicKey({ key: jwk, format: "jwk" });
  return verify(null, input, key, Buffer.from(parts[2], "base64url"));
}

const { publication } = await (await get(`/v1/alerts/${id}/public`)).json();
const document = Buffer.from(await (await get(publication.cap)).arrayBuffer());
const { keys } = await (await get("/.well-known/jwks.json")).json();
const jws = publication.signature;
const [head, , tail] = jws.split(".");
const header = JSON.parse(Buffer.from(head, "base64url").toString());

const resigned = (change, signer) => {
  const other = b64(JSON.stringify({ ...header, ...change }));
  return `${other}..${signer(Buffer.from(`${other}.${b64(document)}`))}`;
};
const stranger = generateKeyPairSync("ed25519");
const jwk = stranger.publicKey.export({ format: "jwk" });
const byStranger = (input) => b64(sign(null, input, stranger.privateKey));
const pem = createPublicKey({ key: keys.find((key) => key.kid === header.kid), format: "jwk" })
  .export({ format: "pem", type: "spki" });
const forgeries = {
  "alg none": genuine(resigned({ alg: "none" }, () => ""), document, keys),
  "alg none with the old signature": genuine(resigned({ alg: "none" }, () => tail), document, keys),
  "the public key as a shared secret": genuine(
    resigned({ alg: "HS256" }, (input) => createHmac("sha256", pem).update(input).digest("base64url")),
    document, keys),
  "another's key": genuine(resigned({}, byStranger), document, keys),
  "another's key, named": genuine(resigned({ kid: thumbprint(jwk) }, byStranger), document, keys),
  "a key in the header": genuine(resigned({ jwk, kid: thumbprint(jwk) }, byStranger), document, keys),
  "other words": genuine(jws, Buffer.from(document.toString().replace("<scope>", " <scope>")), keys),
  "another header": genuine(`${b64(JSON.stringify({ ...header, typ: "JWT" }))}..${tail}`, document, keys),
};
console.log(JSON.stringify({ genuine: genuine(jws, document, keys), kid: header.kid, keys: keys.length, forgeries }));
