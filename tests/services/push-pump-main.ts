import { readFileSync } from "node:fs";
import { type PushPumpOptions, startPushPump } from "./push-pump.ts";

/*
 * A push pump as a process of its own, so that its work is not counted as that of the function it pushes to:
 *   node tests/services/push-pump-main.ts '<options as JSON>'
 * The options are those of `startPushPump`, but for the token: `token` (its text) or `tokenFile` (read again each second).
 * Prints its figures as one line of JSON each second, and once more when SIGTERM or SIGINT ends it.
 */
interface MainOptions extends Omit<PushPumpOptions, "token"> {
  token?: string;
  tokenFile?: string;
}

const { token, tokenFile, ...options }: MainOptions = JSON.parse(process.argv[2] ?? "{}");
process.env.METADATA_SERVER_DETECTION ??= "none";

const readToken = () => (tokenFile === undefined ? token : readFileSync(tokenFile, "utf8").trim());
let current = readToken();
const pump = await startPushPump({ ...options, ...(current === undefined ? {} : { token: () => current as string }) });
const print = () => process.stdout.write(`${JSON.stringify(pump.stats())}\n`);

const ticking = setInterval(() => {
  current = readToken();
  print();
}, 1_000);

let isStopping = false;
for (const signal of ["SIGTERM", "SIGINT"] as const) {
  process.on(signal, async () => {
    if (isStopping) return;
    isStopping = true;
    clearInterval(ticking);
    await pump.stop();
    print();
  });
}
