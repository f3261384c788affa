// Reads text and writes it with places in a bundle replaced by those in its sources, relative to the folder here.
const { readFileSync } = require("node:fs");
const { SourceMap } = require("node:module");
const { dirname, relative, resolve } = require("node:path");

const PLACE = /(?:file:\/\/)?(\/[^\s():]*\/castari-bundle\.[cm]js):(\d+)(?::(\d+))?/g;
const END_OF_LINE = 1_000_000;
const maps = new Map();

function mapOf(bundle) {
  if (!maps.has(bundle)) maps.set(bundle, new SourceMap(JSON.parse(readFileSync(`${bundle}.map`, "utf8"))));
  return maps.get(bundle);
}

function translate(place, bundle, line, column) {
  try {
    const found = mapOf(bundle).findEntry(Number(line) - 1, column ? Number(column) - 1 : END_OF_LINE);
    const source = relative(process.cwd(), resolve(dirname(bundle), found.originalSource));
    return `${source}:${found.originalLine + 1}${column ? `:${found.originalColumn + 1}` : ""}`;
  } catch {
    return place;
  }
}

process.stdout.write(readFileSync(0, "utf8").replace(PLACE, translate));
