// Runs one command with a time limit and an output limit, without the agent's keys in its environment.
import { spawn } from "node:child_process";

const TIMEOUT_MILLISECONDS = 60_000;
const MAX_BYTES = 64 * 1024;

export function bash(command: string): Promise<string> {
  return new Promise((done, failed) => {
    // Its own process group, so that the limit also ends what the command left in the background.
    const child = spawn("bash", ["-c", command], {
      detached: true, env: withoutKeys(process.env), stdio: ["ignore", "pipe", "pipe"],
    });
    const output = new Output();
    child.stdout.on("data", (chunk: Buffer) => output.add(chunk));
    child.stderr.on("data", (chunk: Buffer) => output.add(chunk));
    const end = () => killGroup(child.pid);
    const timer = setTimeout(() => {
      output.note(`[stopped after ${TIMEOUT_MILLISECONDS / 1000} seconds]`);
      end();
    }, TIMEOUT_MILLISECONDS);
    child.on("error", failed);
    // A process in the background may hold the pipes open, and `close` would wait for it.
    child.on("exit", end);
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      done(`${signal ? `signal ${signal}` : `exit code ${code}`}\n${output.text()}`);
    });
  });
}

/** Keeps the first bytes and counts the rest. */
class Output {
  private kept: Buffer[] = [];
  private notes: string[] = [];
  private room = MAX_BYTES;
  private lost = 0;

  add(chunk: Buffer): void {
    const part = chunk.subarray(0, this.room);
    this.kept.push(part);
    this.room -= part.length;
    this.lost += chunk.length - part.length;
  }

  note(line: string): void {
    this.notes.push(line);
  }

  text(): string {
    const lost = this.lost ? [`[${this.lost} bytes more]`] : [];
    return [Buffer.concat(this.kept).toString("utf8"), ...lost, ...this.notes].join("\n");
  }
}

/** What a command prints goes to the model and may come back in an answer. */
function withoutKeys(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !name.startsWith("ANTHROPIC_")));
}

function killGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, "SIGKILL");
  } catch (error) {
    // The group has ended by itself.
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
