// Loaded before the agent's code in an interpreter that was started early: waits for the attempt's environment.
const { closeSync, readSync } = require("node:fs");

const VARIABLE = "CASTARI_WAITS";
const CHUNK_BYTES = 65_536;

/** Return all that comes through a pipe; this blocks, which is the point. */
function readToEnd(pipe) {
  const chunks = [];
  for (;;) {
    const chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
    const length = readSync(pipe, chunk);
    if (length === 0) return Buffer.concat(chunks).toString();
    chunks.push(chunk.subarray(0, length));
  }
}

/** Put the environment of words such as `NAME=value`, each ended by a NUL and all by another, in the place of ours. */
function become(words) {
  const variables = words.split("\0").slice(0, -2).map((word) => word.split(/=(.*)/s, 2));
  for (const name of Object.keys(process.env)) delete process.env[name];
  for (const [name, value] of variables) process.env[name] = value;
}

/** Wait, then leave no trace of that to the agent. Workers and children load this too, and find nothing to do. */
function waitForAttempt() {
  const pipe = process.env[VARIABLE];
  if (pipe === undefined) return;
  const words = readToEnd(Number(pipe));
  closeSync(Number(pipe));
  if (!words.endsWith("\0\0")) process.exit(1); // Whoever spoke is gone.
  become(words);
  process.execArgv.splice(0, 2);
}

waitForAttempt();
delete require.cache[__filename];
