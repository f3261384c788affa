// Processes that are too many, that stay behind, that do not listen, or that die by a signal.
import { spawn } from "node:child_process";

const FORKING_MILLISECONDS = 10_000;
const CHILD_SECONDS = "30";
const AT_ONCE = 50;
const ENOUGH_REFUSALS = 1000;

/** Starts children until a thousand were refused, or for ten seconds; each ends by itself after thirty. */
export async function forks() {
  const end = Date.now() + FORKING_MILLISECONDS;
  const count = { started: 0, refused: 0 };
  while (Date.now() < end && count.refused < ENOUGH_REFUSALS) {
    await Promise.all(Array.from({ length: AT_ONCE }, () => fork(count)));
  }
  console.log(`started ${count.started}, refused ${count.refused}`);
  process.exit(count.refused > 0 ? 0 : 1);
}

function fork(count) {
  return new Promise((done) => {
    const child = spawn("sleep", [CHILD_SECONDS], { stdio: "ignore", detached: true });
    child.on("spawn", () => done((count.started += 1)));
    child.on("error", () => done((count.refused += 1)));
  });
}

/** Answers and ends, while a child still holds its stdout open. */
export function orphan() {
  spawn("sleep", [CHILD_SECONDS], { stdio: ["ignore", "inherit", "inherit"], detached: true }).unref();
  console.log("my child is still here");
}

/** Runs on through every signal that a process may ignore. */
export function stubborn() {
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT"]) process.on(signal, () => {});
  setTimeout(() => {}, 20 * 60 * 1000);
}

export function segv() {
  process.kill(process.pid, "SIGSEGV");
}
