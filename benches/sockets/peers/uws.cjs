// uWebSockets as the peer: the same frame to every socket by its own publish, and by the protocol
// of the other servers on standard input and output.
"use strict";
const fs = require("fs");
const readline = require("readline");
const uws = require(process.env.LOA_UWS);

const text = "x".repeat(Number(process.argv[2]));
const app = uws.App().ws("/*", {
  idleTimeout: 0,
  sendPingsAutomatically: false,
  maxBackpressure: 1 << 20,
  open: (socket) => socket.subscribe("all"),
});
app.listen("127.0.0.1", 0, (listening) => {
  console.log(`port ${uws.us_socket_local_port(listening)}`);
});
const nanos = () => BigInt(Date.now()) * 1000000n;
const cpu = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};
readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const [word, count] = line.split(" ");
  if (word !== "alert") {
    const status = fs.readFileSync("/proc/self/status", "utf8");
    console.log(`memory ${/RssAnon:\s+(\d+)/.exec(status)[1]}`);
    return;
  }
  const [began, before] = [nanos(), cpu()];
  for (let alert = 0; alert < Number(count); alert += 1) app.publish("all", text);
  setTimeout(() => console.log(`went ${began} ${cpu() - before}`), Number(process.argv[3]));
});
