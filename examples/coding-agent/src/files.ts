// File tools that stay inside the working folder, whatever path or link they are given.
import { lstat, mkdir, readdir, readFile as read, realpath, writeFile as write } from "node:fs/promises";
import { basename, dirname, join, resolve, sep } from "node:path";

const MAX_BYTES = 256 * 1024;

export async function readFile(path: string): Promise<string> {
  const content = await read(await inside(path));
  if (content.length > MAX_BYTES) {
    throw new Error(`${path} has ${content.length} bytes, at most ${MAX_BYTES} can be read: use bash to see a part`);
  }
  return content.toString("utf8");
}

export async function writeFile(path: string, content: string): Promise<string> {
  const target = await inside(path);
  await mkdir(dirname(target), { recursive: true });
  await write(target, content);
  return `wrote ${path}`;
}

export async function editFile(path: string, oldText: string, newText: string): Promise<string> {
  const target = await inside(path);
  const parts = (await read(target, "utf8")).split(oldText);
  if (oldText === "" || parts.length !== 2) {
    throw new Error(`the old text occurs ${oldText === "" ? 0 : parts.length - 1} times in ${path}, and must occur once`);
  }
  await write(target, parts.join(newText));
  return `edited ${path}`;
}

export async function listFiles(path: string): Promise<string> {
  const entries = await readdir(await inside(path), { withFileTypes: true });
  return entries.map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name)).sort().join("\n");
}

/** Resolves links in the part of the path that exists: a link is only as good as where it leads. */
async function inside(path: string): Promise<string> {
  const root = await realpath(process.cwd());
  const target = await resolved(resolve(root, path));
  if (target !== root && !target.startsWith(root + sep)) throw new Error(`${path} is outside the working folder`);
  return target;
}

async function resolved(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT" || (await isLink(path))) throw error;
    return join(await resolved(dirname(path)), basename(path));
  }
}

/** A link to nothing yet: writing through it would make a file wherever it points. */
async function isLink(path: string): Promise<boolean> {
  return lstat(path).then((found) => found.isSymbolicLink(), () => false);
}
