// Reads a task from stdin, lets Claude work on it with tools, and prints what Claude says at the end.
import { readFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import Anthropic from "@anthropic-ai/sdk";
import { type Outcome, work } from "./loop.js";
import { reportUsage } from "./usage.js";

async function main(): Promise<void> {
  if (!process.env.ANTHROPIC_API_KEY) {
    return fail("ANTHROPIC_API_KEY is not set: run `cast secrets set coding-agent ANTHROPIC_API_KEY`");
  }
  try {
    finish(await begin());
  } catch (error) {
    if (!(error instanceof Anthropic.APIError)) throw error;
    fail(`the Messages API refused: ${error.message}`);
  }
}

async function begin(): Promise<Outcome> {
  return work(new Anthropic(), {
    task: await text(process.stdin),
    instructions: await readFile("CLAUDE.md", "utf8"),
    model: process.env.ANTHROPIC_MODEL ?? "claude-sonnet-5-5",
    maxTurns: Number(process.env.MAX_TURNS ?? 30),
  });
}

function finish(outcome: Outcome): void {
  reportUsage(outcome);
  process.stdout.write(`${outcome.answer}\n`);
  if (!outcome.finished) {
    fail(`stopped after ${outcome.turns} turns without an end: give a smaller task, or raise MAX_TURNS`);
  }
}

function fail(reason: string): void {
  console.error(reason);
  process.exitCode = 1;
}

await main();
