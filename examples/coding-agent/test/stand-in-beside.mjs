// Starts the stand-in where ANTHROPIC_BASE_URL points, before whatever is imported after this module.
import { startStandIn } from "./messages-stand-in.mjs";

await startStandIn(Number(new URL(process.env.ANTHROPIC_BASE_URL ?? "http://127.0.0.1:8787").port));
