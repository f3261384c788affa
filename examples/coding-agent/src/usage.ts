// Says what the model was paid for: to the log, and as a JSON line where the platform names a file for it.
import { appendFileSync } from "node:fs";
import type { Outcome } from "./loop.js";

export function reportUsage({ model, turns, inputTokens, outputTokens }: Outcome): void {
  console.error(`${turns} turns, ${inputTokens} tokens in, ${outputTokens} tokens out`);
  const file = process.env.CASTARI_USAGE_FILE;
  if (!file) return;
  const usage = { model, input_tokens: inputTokens, output_tokens: outputTokens };
  appendFileSync(file, `${JSON.stringify(usage)}\n`);
}
