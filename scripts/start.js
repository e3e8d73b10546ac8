import "./check-node.js";

// Imported behind the check: an older Node lacks what is named here.
const { existsSync } = await import("node:fs");
const { enableCompileCache } = await import("node:module");

enableCompileCache();
const source = new URL("../shared/runtime/local/main.ts", import.meta.url);
const built = new URL("../shared/runtime/local/main.js", import.meta.url);
const { main } = await import(existsSync(source) ? source.href : built.href);
await main();
