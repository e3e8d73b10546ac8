import { NO_LOG } from "../../shared/core/ports/log.ts";
import { NO_METER } from "../../shared/core/ports/meter.ts";
import { systemClock } from "../../shared/runtime/clock.ts";
import { compose } from "../../shared/runtime/compose.ts";
import { freeAbandoned } from "../../shared/runtime/local/abandoned.ts";
import { startFunctions } from "../../shared/runtime/local/functions.ts";
import { readSettings } from "../../shared/runtime/settings/settings.ts";
import { type KillPlan, killingPorts } from "./kill-steps.ts";

// A host without HTTP that kills itself, as `kill -9` does, at the n-th time it comes to a named step.
// It ends by itself once nothing is left to do, and then says `drained`.

const wrap = killingPorts(JSON.parse(process.argv[2] as string) as KillPlan);
const composition = await compose(readSettings(process.env), { clock: systemClock, log: NO_LOG, meter: NO_METER, wrap });
const broker = await composition.embedded();
await freeAbandoned(composition);
const functions = await startFunctions(composition);
for (;;) {
  const topics = await broker.topics();
  const backlog = topics.flatMap(({ subscriptions }) => subscriptions).reduce((sum, one) => sum + one.backlog, 0);
  const open = await composition.jobs.list({ states: ["planning", "running", "cancelling"], limit: 1 });
  if (backlog === 0 && open.length === 0) break;
  await systemClock.sleep(20);
}
await functions.stop();
await composition.close();
process.stdout.write("drained\n");
