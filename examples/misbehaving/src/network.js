// Knocks on the addresses that the prompt gives, or else on the gateway of its own network.
import { readFileSync } from "node:fs";
import { connect } from "node:net";

const PATIENCE_MILLISECONDS = 3000;
// SSH, HTTP, HTTPS, the Docker API, and what development servers listen on.
const PORTS = [22, 80, 443, 2375, 3000, 4566, 8000, 8080];

/** Takes `address:port`…; fails if any of them answers. */
export async function host(...targets) {
  const knocks = await Promise.all((targets.length ? targets : gatewayTargets()).map(knock));
  for (const [target, outcome] of knocks) console.log(`${target} ${outcome}`);
  process.exitCode = knocks.some(([, outcome]) => outcome === "REACHED") ? 1 : 0;
}

/** There is no IPv6 in a sandbox, so no way leads to this address. */
export async function unreachable() {
  const socket = connect({ host: "2001:db8::1", port: 443 });
  await new Promise((_, failed) => socket.on("error", failed));
}

function knock(target) {
  const colon = target.lastIndexOf(":");
  const socket = connect({ host: target.slice(0, colon).replace(/^\[|\]$/g, ""), port: Number(target.slice(colon + 1)) });
  return new Promise((done) => {
    const end = (outcome) => {
      socket.destroy();
      done([target, outcome]);
    };
    socket.setTimeout(PATIENCE_MILLISECONDS, () => end("no answer"));
    socket.on("connect", () => end("REACHED"));
    socket.on("error", (error) => end(`refused (${error.code})`));
  });
}

function gatewayTargets() {
  const gateway = defaultGateway();
  if (!gateway) throw new Error("there is no default route: give addresses, like `host 192.0.2.1:80`");
  return PORTS.map((port) => `${gateway}:${port}`);
}

/** In /proc/net/route the third column holds the gateway as little-endian hexadecimal. */
function defaultGateway() {
  const rows = readFileSync("/proc/net/route", "utf8").split("\n").map((line) => line.split(/\s+/));
  const row = rows.find(([, destination, gateway]) => destination === "00000000" && gateway !== "00000000");
  return row && Buffer.from(row[2], "hex").reverse().join(".");
}
