/*
 * Makes an API key:  npm run api-key -- <id> [--read=<globs>] [--publish=<globs>] [--admin]
 * Prints the key, which is stored nowhere, and the entry for apiKeys in PERSISTOR_AUTH, which holds only its hash.
 */
import { parseArgs } from "node:util";
import { newApiKey } from "../shared/runtime/auth/keys.ts";
import { authSchema } from "../shared/runtime/auth/settings.ts";

const USAGE = "usage: npm run api-key -- <id> [--read=orders,flight*] [--publish=replay-*] [--admin]";

function fail(text: string): never {
  console.error(text);
  process.exit(2);
}

function readArguments() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: { read: { type: "string" }, publish: { type: "string" }, admin: { type: "boolean", default: false } },
    });
  } catch (error) {
    return fail(`${(error as Error).message}\n${USAGE}`);
  }
}

const listed = (globs: string | undefined) => (globs ?? "").split(",").filter((glob) => glob !== "");

const { values, positionals } = readArguments();
const [id] = positionals;
if (id === undefined || positionals.length > 1) fail(USAGE);
const { key, sha256 } = newApiKey(id);
const entry = { id, sha256, grants: { read: listed(values.read), publish: listed(values.publish), admin: values.admin } };
const checked = authSchema.safeParse({ mode: "required", apiKeys: [entry] });
if (!checked.success)
  fail(`${checked.error.issues.map(({ path, message }) => `${path.slice(2).join(".")} ${message}`).join("\n")}\n${USAGE}`);

console.log(`The key, shown this once:\n\n  ${key}\n\nIts entry for apiKeys in PERSISTOR_AUTH:\n\n  ${JSON.stringify(entry)}`);
