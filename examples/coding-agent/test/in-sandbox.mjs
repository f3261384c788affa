// The agent with the stand-in in the same process: an entrypoint for sandboxes that reach no model.
import "./stand-in-beside.mjs";
import "../src/index.ts";
