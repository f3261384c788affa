// Greets whoever the prompt names, and says how that would look in a URL.
import { readFileSync } from "node:fs";
import slugify from "slugify";

const name: string = readFileSync(0, "utf8").trim();
const greeting = `${process.env.GREETING ?? "Hello"}, ${name}!`;
process.stdout.write(`${greeting}\n${slugify(greeting, { lower: true, strict: true })}\n`);
