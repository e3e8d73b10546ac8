import "./check-node.js";

// The local host: plain JavaScript under dist/, in the same folders, so that it runs without type stripping.
const { execFileSync } = await import("node:child_process");
const { cpSync, rmSync } = await import("node:fs");
const { createRequire } = await import("node:module");
const { dirname, join } = await import("node:path");

const root = new URL("..", import.meta.url).pathname;
const typescript = dirname(createRequire(import.meta.url).resolve("typescript/package.json"));

rmSync(join(root, "dist"), { recursive: true, force: true });
execFileSync(process.execPath, [join(typescript, "bin", "tsc"), "--project", "tsconfig.build.json"], { cwd: root, stdio: "inherit" });
for (const script of ["start.js", "check-node.js"]) cpSync(join(root, "scripts", script), join(root, "dist", "scripts", script));

// The functions of each cloud, bundled.
execFileSync(process.execPath, ["--disable-warning=ExperimentalWarning", join(root, "scripts", "bundle.ts")], {
  cwd: root,
  stdio: "inherit",
});
