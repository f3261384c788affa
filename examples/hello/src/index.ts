// Greets whoever the prompt names, and keeps notes that show that no invocation sees another's files.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import slugify from "slugify";

const NOTES = "notes";

function write(title: string): string {
  // The title comes from outside; slugify leaves no slash in it, so the note stays in its folder.
  const name = slugify(title, { lower: true, strict: true });
  if (!name) throw new Error("a note needs a title with at least one letter or digit");
  mkdirSync(NOTES, { recursive: true });
  writeFileSync(join(NOTES, name), title);
  return `wrote ${NOTES}/${name}`;
}

function notes(): string {
  mkdirSync(NOTES, { recursive: true });
  return readdirSync(NOTES).sort().join("\n") || "no notes";
}

function answer(prompt: string): string {
  if (prompt === "notes") return notes();
  if (prompt.startsWith("write ")) return write(prompt.slice("write ".length));
  return `${process.env.GREETING ?? "Hello"}, ${prompt}!`;
}

process.stdout.write(`${answer(readFileSync(0, "utf8").trim())}\n`);
