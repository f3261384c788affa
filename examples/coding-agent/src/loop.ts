// The loop of an agent: ask the model, run the tools that it calls, hand back what they said, until it is done.
import type Anthropic from "@anthropic-ai/sdk";
import { definitions, runTool } from "./tools.js";

const MAX_TOKENS_A_TURN = 8192;

export interface Task {
  task: string;
  instructions: string;
  model: string;
  maxTurns: number;
}

export interface Outcome {
  /** What the model said last. */
  answer: string;
  /** False when the turns were used up first, or an answer was cut off. */
  finished: boolean;
  turns: number;
  model: string;
  inputTokens: number;
  outputTokens: number;
}

export async function work(client: Anthropic, task: Task): Promise<Outcome> {
  const messages: Anthropic.MessageParam[] = [{ role: "user", content: task.task }];
  const outcome: Outcome = {
    answer: "", finished: false, turns: 0, model: task.model, inputTokens: 0, outputTokens: 0,
  };
  while (!outcome.finished && outcome.turns < task.maxTurns) {
    const message = await client.messages.create({
      model: task.model,
      max_tokens: MAX_TOKENS_A_TURN,
      system: task.instructions,
      tools: definitions,
      messages,
    });
    add(outcome, message);
    if (message.stop_reason !== "tool_use") {
      outcome.finished = message.stop_reason === "end_turn";
      break;
    }
    messages.push({ role: "assistant", content: message.content });
    messages.push({ role: "user", content: await toolResults(message) });
  }
  return outcome;
}

function add(outcome: Outcome, message: Anthropic.Message): void {
  outcome.turns += 1;
  outcome.inputTokens += message.usage.input_tokens;
  outcome.outputTokens += message.usage.output_tokens;
  outcome.answer = message.content.map((block) => (block.type === "text" ? block.text : "")).join("");
}

/** One after another: a later call of the same turn may need what an earlier one wrote. */
async function toolResults(message: Anthropic.Message): Promise<Anthropic.ToolResultBlockParam[]> {
  const results: Anthropic.ToolResultBlockParam[] = [];
  for (const block of message.content) {
    if (block.type !== "tool_use") continue;
    const { content, failed } = await runTool(block.name, block.input);
    console.error(`${block.name}: ${failed ? "failed" : "done"}`);
    results.push({ type: "tool_result", tool_use_id: block.id, content, is_error: failed });
  }
  return results;
}
