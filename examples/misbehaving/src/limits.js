// Takes more memory, heap or disk than there is. Each stops by itself a little above the platform's limit.
import { execFileSync } from "node:child_process";

const MEGABYTE = 1024 * 1024;
const MEMORY_MEGABYTES = 3 * 1024;
const DISK_GIGABYTES = 12;
const CHUNK_MEGABYTES = 64;

/** Memory outside the JavaScript heap, touched page by page. */
export function memory() {
  const held = [];
  while (held.length * CHUNK_MEGABYTES < MEMORY_MEGABYTES) held.push(Buffer.alloc(CHUNK_MEGABYTES * MEGABYTE, 1));
  console.log(`allocated ${held.length * CHUNK_MEGABYTES} MB`);
}

/** Memory inside the heap, which V8 limits by itself. */
export function heap() {
  const held = [];
  while (held.length < MEMORY_MEGABYTES) held.push(Array.from({ length: MEGABYTE / 8 }, Math.random));
  console.log(`the heap took ${held.length} MB`);
}

/** Takes room without writing it, which is quick and hurts no real disk. */
export function disk() {
  for (let taken = 0; taken < DISK_GIGABYTES; taken += 1) {
    execFileSync("fallocate", ["--length", "1GiB", `filler-${taken}`], { stdio: ["ignore", "ignore", "inherit"] });
  }
  console.log(`took ${DISK_GIGABYTES} GB`);
}
