// Does what its prompt names and a good agent does not, to show that the platform holds. Only ever run it in a sandbox.
import { existsSync, readFileSync } from "node:fs";
import * as limits from "./limits.js";
import { host, unreachable } from "./network.js";
import * as output from "./output.js";
import * as processes from "./processes.js";

const deeds = {
  sleep: () => void setTimeout(() => {}, 20 * 60 * 1000),
  memory: limits.memory,
  heap: limits.heap,
  disk: limits.disk,
  forks: processes.forks,
  orphan: processes.orphan,
  stubborn: processes.stubborn,
  segv: processes.segv,
  abort: () => process.abort(),
  exit: (code) => process.exit(Number(code ?? 1)),
  crash: () => {
    throw new Error("nobody caught this");
  },
  silent: () => {},
  flood: output.flood,
  binary: output.binary,
  host,
  unreachable,
};

function deed() {
  // The place of the platform's runner: outside a sandbox these deeds would hurt a real machine.
  if (!existsSync("/opt/castari")) throw new Error("not in a sandbox: this agent does harm on purpose");
  const [name, ...words] = readFileSync(0, "utf8").trim().split(/\s+/);
  if (!Object.hasOwn(deeds, name)) throw new Error(`choose one of: ${Object.keys(deeds).join(", ")}`);
  return deeds[name](...words);
}

await deed();
