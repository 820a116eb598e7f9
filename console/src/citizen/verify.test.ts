import { expect, test } from "vitest";
import { isGenuine } from "./verify";

const b64 = (what: Uint8Array | string) => {
  const bytes = typeof what === "string" ? new TextEncoder().encode(what) : what;
  const text = btoa(Array.from(bytes, (one) => String.fromCharCode(one)).join(""));
  return text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
};

async function signed() {
  const pair = (await crypto.subtle.generateKey({ name: "Ed25519" }, true, ["sign", "verify"])) as CryptoKeyPair;
  const { x } = await crypto.subtle.exportKey("jwk", pair.publicKey);
  const keys = [{ kty: "OKP", crv: "Ed25519", x: x ?? "", kid: "one" }];
  const document = new TextEncoder().encode("<alert>Ngập</alert>");
  const of = async (header: object) => {
    const head = b64(JSON.stringify(header));
    const input = new TextEncoder().encode(`${head}.${b64(document)}`);
    const signature = await crypto.subtle.sign({ name: "Ed25519" }, pair.privateKey, input);
    return `${head}..${b64(new Uint8Array(signature))}`;
  };
  return { keys, document, of };
}

test("only the document that was signed by a published key is genuine", async () => {
  const { keys, document, of } = await signed();
  const jws = await of({ alg: "EdDSA", kid: "one" });
  expect(await isGenuine(jws, document, keys)).toBe("genuine");
  expect(await isGenuine(jws, new TextEncoder().encode("<alert/>"), keys)).toBe("false");
  const others = (await signed()).keys;
  expect(await isGenuine(jws, document, others)).toBe("false");
  expect(await isGenuine(jws, document, [])).toBe("false");
});

test("whatever a signature's head asks for, it is EdDSA or nothing", async () => {
  const { keys, document, of } = await signed();
  for (const header of [{ alg: "none", kid: "one" }, { alg: "HS256", kid: "one" }, { alg: "EdDSA" },
    { alg: "EdDSA", kid: "one", crit: ["b64"] }]) {
    expect(await isGenuine(await of(header), document, keys)).toBe("false");
  }
  for (const broken of ["", "..", "a..b", "a.b.c", "a..b.c"]) {
    expect(await isGenuine(broken, document, keys)).toBe("false");
  }
});
