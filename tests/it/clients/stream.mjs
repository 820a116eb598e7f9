// A websocket client as an app's developer would write it: stores the position, drops nothing,
// reconnects after a cut. Prints one publication id a line; ends after as many as it was asked for.
// usage: node stream.mjs <url> <device> <secret> <how many> <cut after> <path of ws>
import { createRequire } from "node:module";

const [url, device, secret, wanted, cutAfter, ws] = process.argv.slice(2);
const WebSocket = createRequire(import.meta.url)(ws);

let position;
let seen = 0;
let cut = false;

function connect() {
  const socket = new WebSocket(url);
  socket.on("open", () => {
    socket.send(JSON.stringify({ type: "hello", device, secret, position }));
  });
  socket.on("message", (data) => {
    const event = JSON.parse(data);
    if (cut && seen >= Number(cutAfter) && socket.cut) return;
    if (event.position) position = event.position;
    if (event.type === "hello" && position && !event.recovered) throw new Error("a gap");
    if (event.type === "live") console.log("live");
    if (event.type === "ping") socket.send(JSON.stringify({ type: "pong" }));
    if (event.type !== "publication") return;
    console.log(event.publication.id);
    seen += 1;
    if (seen === Number(wanted)) process.exit(0);
    if (!cut && seen === Number(cutAfter)) {
      cut = true;
      socket.cut = true;
      socket.terminate();
      console.log("cut");
      // Comes back when it is told to, so that something is missed for sure.
      process.stdin.once("data", connect);
    }
  });
}

connect();
