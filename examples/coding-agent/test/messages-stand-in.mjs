// Stands in for the Messages API: checks what the SDK sends, and answers from a script that the task's first word chooses.
import { createServer } from "node:http";

const FILE = "workspace/words.txt";

// Each script maps the results of the tools so far to what the model does next.
const scripts = {
  // Writes the words to a file, lets bash shout them, and answers with what bash printed.
  shout: (words, results) =>
    [
      () => call("write_file", { path: FILE, content: words }),
      () => call("bash", { command: `tr a-z A-Z < ${FILE}` }),
      () => say(results[1].content.split("\n")[1]),
    ][results.length](),
  // Makes one call, named in the task as JSON, and answers with its result as JSON.
  call: (words, results) => {
    const { tool, input } = JSON.parse(words);
    return results.length ? say(JSON.stringify(results.at(-1))) : call(tool, input);
  },
  // Says the words.
  say: (words) => say(words),
  // Never comes to an end.
  forever: () => call("list_files", { path: "." }),
};

/** Listens on loopback; answers with the server, which does not keep its process alive. */
export async function startStandIn(port) {
  const server = createServer((request, response) => void answer(request, response));
  await new Promise((ready) => server.listen(port, "127.0.0.1", ready));
  return server.unref();
}

async function answer(request, response) {
  const chunks = await request.toArray();
  const [status, body] = reply(request, JSON.parse(Buffer.concat(chunks).toString() || "{}"));
  response.writeHead(status, { "content-type": "application/json", connection: "close" });
  response.end(JSON.stringify(body));
}

function reply(request, body) {
  if (request.method !== "POST" || request.url !== "/v1/messages") return refusal(404, "not_found_error", request.url);
  const key = request.headers.authorization ?? request.headers["x-api-key"];
  if (!key) return refusal(401, "authentication_error", "no API key was sent");
  const missing = ["model", "max_tokens", "system", "messages"].filter((name) => !body[name]);
  if (missing.length) return refusal(400, "invalid_request_error", `missing: ${missing.join(", ")}`);
  const [word, ...words] = body.messages[0].content.trim().split(" ");
  const script = scripts[word];
  if (!script) return refusal(400, "invalid_request_error", `no script named ${word}`);
  return [200, message(body, script(words.join(" "), results(body.messages)))];
}

const results = (messages) =>
  messages.flatMap(({ content }) => (Array.isArray(content) ? content : [])).filter(({ type }) => type === "tool_result");

const call = (name, input) => ({ type: "tool_use", id: `toolu_${name}`, name, input });

const say = (text) => ({ type: "text", text, citations: null });

const message = ({ model }, block) => ({
  id: "msg_stand_in",
  type: "message",
  role: "assistant",
  model,
  content: [block],
  stop_reason: block.type === "tool_use" ? "tool_use" : "end_turn",
  stop_sequence: null,
  usage: { input_tokens: 100, output_tokens: 10 },
});

const refusal = (status, type, text) => [status, { type: "error", error: { type, message: text } }];
