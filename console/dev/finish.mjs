// The last step of a build: beside every text file its Brotli and gzip forms, so that a node never
// compresses what never changes, and the sizes that are promised, held.
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const DIST = new URL("../dist/", import.meta.url).pathname;
/** Files that compress; images and fonts already are. */
const TEXT = /\.(html|js|css|svg|webmanifest|json)$/;
/** Below this a compressed form saves no packet. */
const WORTH_BYTES = 1024;
/** What the citizens' page may weigh over the wire. */
const CITIZEN_MAX_BYTES = 100_000;

function* files(dir) {
  for (const name of readdirSync(dir)) {
    const path = join(dir, name);
    if (statSync(path).isDirectory()) yield* files(path);
    else yield path;
  }
}

const wire = new Map();
for (const path of [...files(DIST)]) {
  const bytes = readFileSync(path);
  let least = bytes.length;
  if (TEXT.test(path) && bytes.length > WORTH_BYTES) {
    const gzip = gzipSync(bytes, { level: 9 });
    const brotli = brotliCompressSync(bytes, {
      params: { [constants.BROTLI_PARAM_QUALITY]: 11 },
    });
    writeFileSync(`${path}.gz`, gzip);
    writeFileSync(`${path}.br`, brotli);
    least = gzip.length;
  }
  wire.set(relative(DIST, path), least);
}

// What the citizens' page loads before and after its first text: everything its HTML names, what
// those scripts import, and the fonts that come last.
function closure(start) {
  const seen = new Set();
  const queue = [start];
  for (let at = queue.pop(); at !== undefined; at = queue.pop()) {
    if (seen.has(at) || !wire.has(at)) continue;
    seen.add(at);
    if (!/\.(html|js|css)$/.test(at)) continue;
    const text = readFileSync(join(DIST, at), "utf8");
    for (const found of text.matchAll(/[\w./-]*?((?:assets\/)?[\w.-]+\.(?:js|css|woff2|svg))/g)) {
      const name = found[1].startsWith("assets/") ? found[1] : `assets/${found[1]}`;
      queue.push(name);
    }
  }
  return seen;
}

// The map and the form for a report come only to those who open them.
const citizen = [...closure("index.html")].filter((name) => name !== "assets/old.js" && !/^assets\/(AreaMap|Report)/.test(name));
const total = citizen.reduce((sum, name) => sum + wire.get(name), 0);
for (const name of citizen) console.log(`  ${String(wire.get(name)).padStart(7)}  ${name}`);
console.log(`citizens' page: ${total} bytes compressed, at most ${CITIZEN_MAX_BYTES}`);
if (total > CITIZEN_MAX_BYTES) {
  console.error("the citizens' page has become too heavy for a slow line");
  process.exit(1);
}
