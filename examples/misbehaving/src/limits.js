// Takes more memory, heap or disk than there is. Each stops by itself a little above the platform's limit.
import { closeSync, openSync, writeSync } from "node:fs";
import { randomFillSync } from "node:crypto";

const MEGABYTE = 1024 * 1024;
const MEMORY_MEGABYTES = 3 * 1024;
const DISK_MEGABYTES = 12 * 1024;
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

/** Random bytes, which no file system can fold away. */
export function disk() {
  const chunk = randomFillSync(Buffer.alloc(CHUNK_MEGABYTES * MEGABYTE));
  const file = openSync("filler", "w");
  let written = 0;
  while (written < DISK_MEGABYTES * MEGABYTE) written += writeSync(file, chunk);
  closeSync(file);
  console.log(`wrote ${written / MEGABYTE} MB`);
}
