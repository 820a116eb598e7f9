// A real node for a test: the built program, a fresh data directory, its own simulated providers.
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
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

  /** A record in the log that no reader understands, as a faulty agency would write it. The node must be away. */
  garbage(topic, payload) {
    const dir = join(this.dir, "data", "log");
    // A small log has one segment with frames; the next one may be made already.
    const path = join(dir, readdirSync(dir).filter((name) => name.endsWith(".segment")).sort()[0]);
    const segment = readFileSync(path);
    const { at, number, end } = endOf(segment, topic);
    frame(topic, end, number, segment.subarray(16, 24), batch("e2e", payload)).copy(segment, at);
    writeFileSync(path, segment);
  }

  /** A file in the node's directory. */
  file(name, text) {
    const path = join(this.dir, name);
    writeFileSync(path, text);
    return path;
  }
}

/** One small record without headers as the log stores it: see src/bus/embedded/batch.rs. */
function batch(key, payload) {
  const record = text(Buffer.concat([text(Buffer.from(key)), Buffer.from([0]), Buffer.from(payload)]));
  if (record.length > 128) throw new Error("a length of more than one byte");
  return Buffer.concat([Buffer.from([1]), u32(crc32(record)), record]);
}

/** A frame that appends one small batch to a topic's first partition: see src/bus/embedded/frame.rs. */
function frame(topic, first, number, salt, batch) {
  const entry = [Buffer.from([1]), text(Buffer.from(topic)), Buffer.from([0]), leb(first), Buffer.from([1]), leb(batch.length)];
  const table = Buffer.concat([...entry, batch.subarray(1, 5)]);
  const numbers = Buffer.alloc(16);
  numbers.writeBigUInt64LE(number, 0);
  numbers.writeBigUInt64LE(BigInt(Date.now()), 8);
  const head = Buffer.concat([u32(table.length), u32(batch.length), salt, numbers]);
  return Buffer.concat([Buffer.from("LoaG"), u32(crc32(Buffer.concat([head, table]))), head, batch, table]);
}

/** Where a segment's next frame goes, its number, and the offset after the last of a topic's first partition. */
function endOf(segment, topic) {
  let [at, number, end] = [64, 0n, 0];
  while (segment.toString("latin1", at, at + 4) === "LoaG") {
    const [table, bodies] = [segment.readUInt32LE(at + 8), segment.readUInt32LE(at + 12)];
    const entries = segment.subarray(at + 40 + bodies, at + 40 + bodies + table);
    let place = 0;
    const byte = () => entries[place++];
    const count = () => {
      let [value, scale, next] = [0, 1, byte()];
      for (; next > 127; next = byte(), scale *= 128) value += (next - 128) * scale;
      return value + next * scale;
    };
    const words = () => {
      const length = count();
      return entries.toString("utf8", place, (place += length));
    };
    while (place < table) {
      const [kind, name, partition] = [byte(), words(), count()];
      const isIts = name === topic && partition === 0;
      if (kind === 1) {
        const [first, records] = [count(), count(), count()];
        place += 4;
        if (isIts) end = first + records;
      } else if (kind === 2) {
        const [, last] = [count(), count()];
        if (isIts) end = last;
      } else if (kind === 3) count();
      else [words(), count(), (place += 8)];
    }
    number = segment.readBigUInt64LE(at + 24) + 1n;
    at += Math.ceil((40 + table + bodies) / 8) * 8;
  }
  return { at, number, end };
}

function text(value) {
  return Buffer.concat([leb(value.length), value]);
}

function u32(value) {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function leb(value) {
  const bytes = [];
  for (; value > 127; value = Math.floor(value / 128)) bytes.push((value % 128) + 128);
  return Buffer.from([...bytes, value]);
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
