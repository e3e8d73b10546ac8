import "./check-node.js";

// Imported behind the check: an older Node lacks what is named here.
const { existsSync } = await import("node:fs");
const { enableCompileCache } = await import("node:module");
const { tmpdir } = await import("node:os");
const { join } = await import("node:path");

// Worker threads take the folder from the environment only. It saves more than half of each later start.
process.env.NODE_COMPILE_CACHE ??= join(tmpdir(), "node-compile-cache");
enableCompileCache(process.env.NODE_COMPILE_CACHE);
const source = new URL("../shared/runtime/local/main.ts", import.meta.url);
const built = new URL("../shared/runtime/local/main.js", import.meta.url);
const { main } = await import(existsSync(source) ? source.href : built.href);
await main();
