// A real node for a test: the built program, a fresh data directory, its own simulated providers.
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const ROOT = new URL("../../../", import.meta.url).pathname;
const TARGET = process.env.CARGO_TARGET_DIR ?? join(ROOT, "target");
/** The program: named, or what `make e2e` builds. */
export const LOA = process.env.LOA_BIN ?? join(TARGET, "debug/loa");
const START_MS = 60_000;
export const PASSWORD = "mat-khau-thu-nghiem";

/** A free port below those that the system gives to connections: one of these may take it before we do. */
export function freePort() {
  const port = 20_000 + Math.floor(Math.random() * 12_000);
  return new Promise((done) => {
    const server = createServer();
    server.on("error", () => done(freePort()));
    server.listen(port, "127.0.0.1", () => server.close(() => done(port)));
  });
}

export class Node {
  /** `env`: settings that differ from those of the program. */
  constructor(env = {}) {
    if (!existsSync(LOA)) throw new Error(`there is no ${LOA}: make e2e builds it`);
    this.dir = mkdtempSync(join(tmpdir(), "loa-e2e-"));
    this.output = "";
    this.env = env;
  }

  /** `loa …` on this node's data directory. */
  run(args, input) {
    return execFileSync(LOA, [...args, "--data-dir", join(this.dir, "data")], { encoding: "utf8", input, stdio: ["pipe", "pipe", "pipe"] });
  }

  /** An agency, and people of it who can log in with `PASSWORD`. */
  people(agency, people) {
    this.run(["agencies", "put", agency, "--name", "Ban Chỉ huy PCTT Thành phố", "--operator"]);
    for (const [id, name, rights] of people) {
      this.run(["people", "put", id, "--agency", agency, "--name", name, "--rights", rights, "--password-file", "-"], `${PASSWORD}\n`);
    }
  }

  /** `config`: a file of settings. */
  async serve(config) {
    this.port ??= await freePort();
    const settings = config ? ["--config", config] : [];
    await this.start(["serve", ...settings, "--listen", `127.0.0.1:${this.port}`, "--data-dir", join(this.dir, "data")]);
  }

  /** A city of simulated citizens; one alert is played first. */
  async demo(citizens) {
    this.port ??= await freePort();
    await this.start([
      "demo", "--citizens", String(citizens), "--once", "--keep",
      "--websockets-per-mille", process.env.WEBSOCKETS_PER_MILLE ?? "100", "--listen", `127.0.0.1:${this.port}`,
      "--data-dir", join(this.dir, "data"),
    ]);
    await this.until(() => this.output.includes("the node goes on"), 240_000 + citizens);
  }

  async start(args) {
    this.output = "";
    this.child = spawn(LOA, args, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, LOA__HTTP__REQUESTS_PER_SECOND: "100000", LOA__HTTP__REQUEST_BURST: "100000", ...this.env } });
    const keep = (part) => (this.output = (this.output + part).slice(-200_000));
    this.child.stdout.on("data", keep);
    this.child.stderr.on("data", keep);
    this.child.on("exit", (code) => (this.exit = code));
    await this.until(async () => (await fetch(`${this.url}/readyz`).catch(() => null))?.ok ?? false, START_MS);
  }

  async until(holds, ms) {
    const end = Date.now() + ms;
    while (!(await holds())) {
      if (this.child.exitCode !== null) throw new Error(`the node ended:\n${this.output}`);
      if (Date.now() > end) throw new Error(`the node was not ready in ${ms} ms:\n${this.output}`);
      await new Promise((done) => setTimeout(done, 100));
    }
  }

  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  async stop() {
    if (!this.child || this.child.exitCode !== null) return;
    const ended = new Promise((done) => this.child.once("exit", done));
    this.child.kill("SIGTERM");
    const late = setTimeout(() => this.child.kill("SIGKILL"), 20_000);
    await ended;
    clearTimeout(late);
  }

  async end() {
    await this.stop();
    rmSync(this.dir, { recursive: true, force: true });
  }

  /** A record in the log that no reader understands, as a faulty agency would write it. */
  garbage(topic, payload) {
    const log = join(this.dir, "data", "log.db");
    const insert = `INSERT INTO "${topic}/0" ("offset", count, at_ms, records) SELECT COALESCE(MAX("offset" + count), 0), 1, ${Date.now()}, X'${batch("e2e", payload)}' FROM "${topic}/0";`;
    execFileSync("sqlite3", [log, insert]);
  }

  /** A file in the node's directory. */
  file(name, text) {
    const path = join(this.dir, name);
    writeFileSync(path, text);
    return path;
  }
}

/** One small record without headers as the log stores it, in hexadecimal: see src/bus/embedded/batch.rs. */
function batch(key, payload) {
  const text = (value) => Buffer.concat([Buffer.from([value.length]), value]);
  const record = text(Buffer.concat([text(Buffer.from(key)), Buffer.from([0]), Buffer.from(payload)]));
  if (record.length > 128) throw new Error("a length of more than one byte");
  const head = Buffer.alloc(5);
  head[0] = 1;
  head.writeUInt32LE(crc32(record), 1);
  return Buffer.concat([head, record]).toString("hex");
}

/** The checksum of the log's batches: CRC-32 (IEEE). Older Nodes' `zlib` has none. */
function crc32(bytes) {
  let sum = ~0;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0);
  }
  return ~sum >>> 0;
}

/** An API key of an agency on this node. */
export function keyOf(node, agency) {
  const text = node.run(["agencies", "key", agency, "--key-name", `k${Date.now()}`]);
  return text.match(/loa_[A-Za-z0-9_-]+/)[0];
}

/** An alert in CAP's JSON form, for units. */
export function alert(units, words = {}, severity = "Severe") {
  const at = (minutes) => {
    const local = new Date(Date.now() + minutes * 60_000 + 7 * 3600_000);
    return `${local.toISOString().slice(0, 19)}+07:00`;
  };
  const info = (language, texts) => ({
    language, categories: ["Met"], event: texts.event, response_types: ["Avoid"], urgency: "Expected",
    severity, certainty: "Likely", expires: at(120), sender_name: "Ban Chỉ huy", ...texts,
    areas: [{ description: "Khu vực thử", geocodes: units.map((value) => ({ name: "loa:unit", value })) }],
  });
  const vi = { event: "Ngập", headline: "Ngập sâu ven sông", description: "Nước đang lên.", instruction: "Đưa xe lên cao.", ...words };
  const en = { event: "Flooding", headline: "Deep flooding by the river", description: "The water rises.", instruction: "Move vehicles up." };
  return {
    identifier: `e2e-${Date.now()}-${Math.random().toString(36).slice(2)}`, sender: "e2e@loa", sent: at(0), status: "Actual",
    msg_type: "Alert", scope: "Public", infos: [info("vi-VN", vi), info("en-GB", en)],
  };
}

/** Publishes over the agencies' API. */
export async function publish(node, key, body) {
  const response = await fetch(`${node.url}/v1/alerts`, {
    method: "POST", headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json" }, body: JSON.stringify(body),
  });
  const answer = await response.json();
  if (response.status !== 202) throw new Error(JSON.stringify(answer));
  return answer.id;
}
