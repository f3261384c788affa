// The tools that the model may call. Their input comes from the model, so it is checked like any other input.
import type Anthropic from "@anthropic-ai/sdk";
import { bash } from "./bash.js";
import { editFile, listFiles, readFile, writeFile } from "./files.js";

type Input = Record<string, string>;

interface Tool {
  description: string;
  /** Each is a text and required. */
  parameters: Record<string, string>;
  run: (input: Input) => Promise<string>;
}

const PATH = "A path relative to the working folder.";

const tools: Record<string, Tool> = {
  read_file: {
    description: "Return the text of a file.",
    parameters: { path: PATH },
    run: ({ path }) => readFile(path!),
  },
  write_file: {
    description: "Write a file and the folders it is in; what it held before is gone.",
    parameters: { path: PATH, content: "The whole text." },
    run: ({ path, content }) => writeFile(path!, content!),
  },
  edit_file: {
    description: "Replace a piece of text that occurs exactly once in a file.",
    parameters: { path: PATH, old_text: "The piece as it stands.", new_text: "What takes its place." },
    run: ({ path, old_text, new_text }) => editFile(path!, old_text!, new_text!),
  },
  list_files: {
    description: "List a folder; names of folders end with a slash.",
    parameters: { path: `${PATH} A dot is the working folder itself.` },
    run: ({ path }) => listFiles(path!),
  },
  bash: {
    description: "Run a command in bash, at most 60 seconds; return its exit code and what it printed.",
    parameters: { command: "The command." },
    run: ({ command }) => bash(command!),
  },
};

export const definitions: Anthropic.Tool[] = Object.entries(tools).map(([name, tool]) => ({
  name,
  description: tool.description,
  input_schema: {
    type: "object",
    properties: Object.fromEntries(
      Object.entries(tool.parameters).map(([key, description]) => [key, { type: "string", description }]),
    ),
    required: Object.keys(tool.parameters),
  },
}));

/** A failure goes back to the model as text: it can mend its call. */
export async function runTool(name: string, input: unknown): Promise<{ content: string; failed: boolean }> {
  try {
    const tool = Object.hasOwn(tools, name) ? tools[name] : undefined;
    if (!tool) throw new Error(`there is no tool named ${name}`);
    return { content: await tool.run(checked(tool, input)), failed: false };
  } catch (error) {
    return { content: error instanceof Error ? error.message : String(error), failed: true };
  }
}

function checked(tool: Tool, input: unknown): Input {
  const values = input as Record<string, unknown> | null;
  for (const name of Object.keys(tool.parameters)) {
    if (typeof values?.[name] !== "string") throw new Error(`\`${name}\` must be a text`);
  }
  return values as Input;
}
