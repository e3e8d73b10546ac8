import { readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const PACKAGE = new URL("../../package.json", import.meta.url);
const SCRIPT = "scripts/start.js";

/** What `npm start` gives to Node before the script, so that what is measured runs as the product does. Throws where it starts otherwise. */
export function startFlags(): string[] {
  const { scripts } = JSON.parse(readFileSync(PACKAGE, "utf8")) as { scripts: { start: string } };
  const [node, ...words] = scripts.start.split(" ");
  if (node !== "node" || words.at(-1) !== SCRIPT) throw new Error(`reading package.json: its start script does not end in ${SCRIPT}`);
  return words.slice(0, -1);
}

/** Node's arguments for the local host. */
export function startArguments(): string[] {
  return [...startFlags(), SCRIPT];
}

/** The folder of compiled code that the local host takes where none is set. */
export function compileCache(): string {
  return process.env.NODE_COMPILE_CACHE ?? join(tmpdir(), "node-compile-cache");
}
