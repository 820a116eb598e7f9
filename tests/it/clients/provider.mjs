// An identity provider: npm's oidc-provider, certified by the OpenID Foundation, with one client.
// Arguments: the package's folder, our redirect URL. Prints its issuer, then answers lines on
// standard input, each with one line: `rotate` (its keys are others from then on), `token` with
// claims and header over plausible ones (signed by its present key), `fetched` (how often its keys
// were asked for), `answer` with claims and header (the next code is answered with such a token).
import { generateKeyPairSync, sign } from "node:crypto";
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import { join } from "node:path";

const [, , folder, redirect] = process.argv;
const { default: Provider } = await import(pathToFileURL(join(folder, "lib/index.js")).href);

const fresh = (name) => {
  const pair = generateKeyPairSync("rsa", { modulusLength: 2048 });
  return { pair, jwk: { ...pair.privateKey.export({ format: "jwk" }), kid: name, alg: "RS256", use: "sig" } };
};
let serial = 1;
let present = fresh("key-1");
let handler = null;
let fetched = 0;
let forged = null;
const server = createServer((request, answer) => {
  if (request.url === "/jwks") fetched += 1;
  if (request.url === "/token" && forged) {
    answer.setHeader("content-type", "application/json");
    answer.end(JSON.stringify({ access_token: "x", token_type: "Bearer", id_token: forged }));
    forged = null;
    return;
  }
  handler(request, answer);
});
await new Promise((done) => server.listen(0, "127.0.0.1", done));
const issuer = `http://127.0.0.1:${server.address().port}`;

function open() {
  const provider = new Provider(issuer, {
    clients: [{
      client_id: "loa", client_secret: "s e+cret", redirect_uris: [redirect],
      grant_types: ["authorization_code"], response_types: ["code"],
    }],
    jwks: { keys: [present.jwk] },
    pkce: { required: () => true },
    cookies: { keys: ["one key"] },
    features: { devInteractions: { enabled: true } },
    // As most providers do: the address is in the token itself.
    conformIdTokenClaims: false,
    claims: { openid: ["sub"], email: ["email", "email_verified"] },
    findAccount: (_, id) => ({
      accountId: id,
      claims: async () => ({ sub: id, email: "Lan@City.Example", email_verified: id !== "unverified" }),
    }),
  });
  // The tests' browser names the host it means in X-Forwarded-Host.
  provider.proxy = true;
  provider.on("server_error", (_, error) => console.error(error));
  handler = provider.callback();
}
open();
console.log(issuer);

const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
function token(claims, header) {
  const now = Math.floor(Date.now() / 1000);
  const body = { iss: issuer, aud: "loa", sub: "079090000001", iat: now, exp: now + 300, ...claims };
  const input = `${part({ alg: "RS256", kid: present.jwk.kid, ...header })}.${part(body)}`;
  return `${input}.${sign("RSA-SHA256", Buffer.from(input), present.pair.privateKey).toString("base64url")}`;
}

for await (const line of createInterface({ input: process.stdin })) {
  const [word, claims, header] = line.split("\t");
  if (word === "rotate") {
    present = fresh(`key-${(serial += 1)}`);
    open();
    console.log(present.jwk.kid);
  } else if (word === "token") {
    console.log(token(JSON.parse(claims ?? "{}"), JSON.parse(header ?? "{}")));
  } else if (word === "answer") {
    forged = token(JSON.parse(claims), JSON.parse(header));
    console.log("ready");
  } else if (word === "fetched") {
    console.log(String(fetched));
  }
}
