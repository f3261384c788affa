// Output that is too long, or that is no text.
import { once } from "node:events";

const FLOOD_BYTES = 50 * 1024 * 1024;

/** Fifty megabytes on stdout, in lines. */
export async function flood() {
  const lines = Buffer.from(`${"all work and no play ".repeat(50)}\n`.repeat(60));
  for (let written = 0; written < FLOOD_BYTES; written += lines.length) {
    if (!process.stdout.write(lines)) await once(process.stdout, "drain");
  }
}

/** Every byte value once. */
export function binary() {
  process.stdout.write(Buffer.from(Array.from({ length: 256 }, (_, value) => value)));
}
