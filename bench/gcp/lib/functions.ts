import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { answers, freePort, type Service, startService } from "../../../tests/services/child.ts";

const FRAMEWORK = join(dirname(createRequire(import.meta.url).resolve("@google-cloud/functions-framework")), "main.js");
const BARE = fileURLToPath(new URL("../bare/function.js", import.meta.url));

/** Node's arguments for a function under the functions framework, as a deployment starts it. */
export function frameworkArguments(source: string, target: string): string[] {
  return [FRAMEWORK, "--source", source, "--target", target];
}

/** The same for a function that answers at once. */
export function bareArguments(): string[] {
  return frameworkArguments(BARE, "bare");
}

/** Starts that function in a process of its own; `url` is where it is pushed to. */
export async function startBareFunction(): Promise<Service & { url: string }> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const service = await startService({
    name: "bare function",
    command: process.execPath,
    args: [...bareArguments(), "--port", String(port)],
    env: { NODE_ENV: "production" },
    isReady: () => answers(url),
  });
  return { ...service, url };
}
