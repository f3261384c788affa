// Greets whoever the prompt names, and says how that would look in a URL. CommonJS, no build step.
const { readFileSync } = require("node:fs");
const slugify = require("slugify");

const name = readFileSync(0, "utf8").trim();
const greeting = `${process.env.GREETING ?? "Hello"}, ${name}!`;
process.stdout.write(`${greeting}\n${slugify(greeting, { lower: true, strict: true })}\n`);
