// Answers the prompt on stdin with Claude, instructed by CLAUDE.md.
import { readFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import Anthropic from "@anthropic-ai/sdk";

if (!process.env.ANTHROPIC_API_KEY) {
  console.error("ANTHROPIC_API_KEY is not set: run `cast secrets set AGENT_SLUG ANTHROPIC_API_KEY`");
  process.exit(1);
}

const message = await new Anthropic().messages.create({
  model: process.env.ANTHROPIC_MODEL ?? "claude-sonnet-5-5",
  max_tokens: 4096,
  system: await readFile("CLAUDE.md", "utf8"),
  messages: [{ role: "user", content: await text(process.stdin) }],
});

// What goes to stdout is the answer; stderr is kept as the invocation's log.
for (const block of message.content) {
  if (block.type === "text") process.stdout.write(block.text);
}
console.error(`${message.usage.input_tokens} tokens in, ${message.usage.output_tokens} out`);
