// The citizens' identity provider of a test: npm's oidc-provider, in a process of its own.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";

const ROOT = new URL("../../../", import.meta.url).pathname;
const CLIENTS = process.env.LOA_CLIENTS ?? join(process.env.CARGO_TARGET_DIR ?? join(ROOT, "target"), "clients");
const SECRET = "s e+cret";

export class Provider {
  /** Starts it for a node that will listen at `url`. */
  static async start(url) {
    const folder = join(CLIENTS, "node_modules/oidc-provider");
    if (!existsSync(folder)) throw new Error(`there is no ${folder}: make e2e installs it`);
    const callback = `${url}/v1/login/callback`;
    const child = spawn("node", [join(ROOT, "tests/it/clients/provider.mjs"), folder, callback], { stdio: ["pipe", "pipe", "ignore"] });
    const lines = createInterface({ input: child.stdout });
    for await (const line of lines) {
      // The package says at any time what is only good for tests.
      if (line.startsWith("http://")) return Object.assign(new Provider(), { child, issuer: line, callback });
    }
    throw new Error("the identity provider does not start");
  }

  /** The settings of a node whose citizens log in here. */
  settings() {
    return `[auth.citizens]\nissuer = "${this.issuer}"\naudience = "loa"\n[auth.citizens.login]\nredirect_url = "${this.callback}"\nsecret = "${SECRET}"\n`;
  }

  end() {
    this.child.kill("SIGTERM");
  }
}
