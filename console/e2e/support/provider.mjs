// The identity provider of a test, the citizens' or the agencies' people's: npm's oidc-provider, in a process of its own.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";

const ROOT = new URL("../../../", import.meta.url).pathname;
const CLIENTS = process.env.LOA_CLIENTS ?? join(process.env.CARGO_TARGET_DIR ?? join(ROOT, "target"), "clients");
const SECRET = "s e+cret";

export class Provider {
  /** Starts it for a node that will listen at `url`. */
  static async start(url, path = "/v1/login/callback") {
    const folder = join(CLIENTS, "node_modules/oidc-provider");
    if (!existsSync(folder)) throw new Error(`there is no ${folder}: make e2e installs it`);
    const callback = `${url}${path}`;
    const child = spawn("node", [join(ROOT, "tests/it/clients/provider.mjs"), folder, callback], { stdio: ["pipe", "pipe", "ignore"] });
    const lines = createInterface({ input: child.stdout });
    for await (const line of lines) {
      // The package says at any time what is only good for tests.
      if (line.startsWith("http://")) return Object.assign(new Provider(), { child, issuer: line, callback });
    }
    throw new Error("the identity provider does not start");
  }

  /** The settings of a node whose citizens, or people, log in here. */
  settings(who = "citizens") {
    return `[auth.${who}]\nissuer = "${this.issuer}"\naudience = "loa"\n[auth.${who}.login]\nredirect_url = "${this.callback}"\nsecret = "${SECRET}"\n`;
  }

  end() {
    this.child.kill("SIGTERM");
  }
}
