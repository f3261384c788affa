// Lets the suite, written in Python, call E2B's JavaScript SDK: one JSON message a line on stdin and stdout.
//
// in:  {id, target: "Sandbox" | {$handle}, path: ["files", "read"], arguments: [...]}
// out: {id, value | error, properties} and {callback, value}
// Values that JSON lacks travel as {$bytes}, {$date}, {$stream}, {$handle, kind, properties}, {$error}, {$callback},
// and what a template is made of as {$template: {context, steps: [[method, ...arguments], ...]}}.
import { createInterface } from "node:readline";
import * as e2b from "e2b";

// What stays here and is known to the suite by a number, with what a user can read of it.
const HANDLES = {
  Sandbox: ["sandboxId", "sandboxDomain", "trafficAccessToken", "envdAccessToken"],
  CommandHandle: ["pid", "stdout", "stderr", "exitCode", "error"],
  WatchHandle: [],
  SandboxPaginator: ["hasNext", "nextToken"],
  SnapshotPaginator: ["hasNext", "nextToken"],
};
const ERROR_FIELDS = ["statusCode", "exitCode", "error", "stdout", "stderr"];

const handles = new Map();
let lastHandle = 0;

function write(message) {
  process.stdout.write(JSON.stringify(message) + "\n");
}

function properties(object) {
  const names = HANDLES[object.constructor.name] ?? [];
  return Object.fromEntries(names.map((name) => [name, encodeNow(object[name])]));
}

function encodeHandle(object) {
  lastHandle += 1;
  handles.set(lastHandle, object);
  return { $handle: lastHandle, kind: object.constructor.name, properties: properties(object) };
}

function encodeError(error) {
  const fields = ERROR_FIELDS.filter((name) => error[name] !== undefined).map((name) => [name, error[name]]);
  return { $error: { name: error.constructor.name, message: error.message, ...Object.fromEntries(fields) } };
}

function encodeNow(value) {
  if (value === undefined || value === null) return null;
  if (typeof value !== "object") return value;
  if (value instanceof Uint8Array) return { $bytes: Buffer.from(value).toString("base64") };
  if (value instanceof Date) return { $date: value.toISOString() };
  if (value instanceof Error) return encodeError(value);
  if (value.constructor.name in HANDLES) return encodeHandle(value);
  if (Array.isArray(value)) return value.map(encodeNow);
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, encodeNow(each)]));
}

async function encode(value) {
  if (!(value instanceof ReadableStream)) return encodeNow(value);
  const chunks = [];
  for await (const chunk of value) chunks.push(encodeNow(chunk));
  return chunks;
}

function streamOf(chunks) {
  return new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(new Uint8Array(Buffer.from(chunk, "base64")));
      controller.close();
    },
  });
}

function templateOf({ context, steps }) {
  let template = e2b.Template(context ? { fileContextPath: context } : undefined);
  for (const [method, ...given] of steps) template = template[method](...given.map(decode));
  return template;
}

function decode(value) {
  if (value === null) return undefined;
  if (typeof value !== "object") return value;
  if (Array.isArray(value)) return value.map(decode);
  if ("$bytes" in value) return new Uint8Array(Buffer.from(value.$bytes, "base64"));
  if ("$date" in value) return new Date(value.$date);
  if ("$stream" in value) return streamOf(value.$stream);
  if ("$template" in value) return templateOf(value.$template);
  if ("$handle" in value) return handles.get(value.$handle);
  if ("$callback" in value) return (each) => write({ callback: value.$callback, value: encodeNow(each) });
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, decode(each)]));
}

async function perform({ target, path, arguments: given }) {
  const root = typeof target === "string" ? e2b[target] : handles.get(target.$handle);
  const owner = path.slice(0, -1).reduce((object, name) => object[name], root);
  const name = path.at(-1);
  if (typeof owner[name] !== "function") throw new TypeError(`${target}.${path.join(".")} is no function`);
  try {
    const value = await encode(await owner[name](...given.map(decode)));
    return { value, properties: properties(root) };
  } catch (error) {
    return { error: encodeError(error).$error, properties: properties(root) };
  }
}

for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  const request = JSON.parse(line);
  perform(request).then(
    (answer) => write({ id: request.id, ...answer }),
    (error) => write({ id: request.id, error: encodeError(error).$error, properties: {} }),
  );
}
process.exit(0);
