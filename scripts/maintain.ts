import { errorText } from "../shared/core/errors.ts";
import type { JobKind } from "../shared/core/ports/job-store.ts";
import { NO_METER } from "../shared/core/ports/meter.ts";
import { isFinal } from "../shared/core/resubmit/jobs.ts";
import { startMaintenance } from "../shared/runtime/admin/routes.ts";
import { systemClock } from "../shared/runtime/clock.ts";
import { compose } from "../shared/runtime/compose.ts";
import { jobRunner } from "../shared/runtime/jobs/runner.ts";
import { maintenanceView } from "../shared/runtime/jobs/views.ts";
import { createLog } from "../shared/runtime/log.ts";
import { readSettings, type Settings } from "../shared/runtime/settings/settings.ts";

// `npm run index:rebuild -- PIPELINE` and `npm run index:audit -- PIPELINE`. One that was cut off goes on where it was.

const [kind, pipeline] = process.argv.slice(2) as [JobKind, string | undefined];
const settings = readSettingsOrExit();
if (!pipeline || !(pipeline in settings.pipelines)) {
  console.error(`Name a pipeline: ${Object.keys(settings.pipelines).join(", ")}.`);
  process.exit(2);
}
const composition = await compose(settings, { clock: systemClock, log: createLog({ level: settings.logLevel }), meter: NO_METER });
try {
  process.exitCode = await maintain(pipeline);
} catch (error) {
  console.error(errorText(error));
  process.exitCode = 1;
} finally {
  await composition.close();
}

/** Runs the job to its end, or takes up an unfinished one; returns the exit code. */
async function maintain(name: string): Promise<number> {
  const runner = jobRunner(composition);
  process.once("SIGINT", () => void runner.stop());
  const open = await composition.jobs.list({ kind, states: ["planning", "running"], limit: 100 });
  const unfinished = open.find(({ request }) => (request as { pipeline: string }).pipeline === name);
  const job = await runner.drive(unfinished?.id ?? (await startMaintenance(kind, name, "command line", composition)));
  if (job) console.log(JSON.stringify(maintenanceView(job), null, 2));
  if (!job || !isFinal(job)) console.error("Not finished: run the same command again, and it goes on.");
  return job?.state === "succeeded" ? 0 : 1;
}

function readSettingsOrExit(): Settings {
  try {
    return readSettings(process.env);
  } catch (error) {
    console.error(errorText(error));
    process.exit(1);
  }
}
