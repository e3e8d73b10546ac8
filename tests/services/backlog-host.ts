import { StoreError } from "../../shared/core/errors.ts";
import { NO_LOG } from "../../shared/core/ports/log.ts";
import { NO_METER } from "../../shared/core/ports/meter.ts";
import { systemClock } from "../../shared/runtime/clock.ts";
import { compose } from "../../shared/runtime/compose.ts";
import { startFunctions } from "../../shared/runtime/local/functions.ts";
import { readSettings } from "../../shared/runtime/settings/settings.ts";

// Works off what waits in the data folder and says what memory that took at its peak: `{"baseBytes", "peakBytes", "refusedPuts"}`.
// Argument: how long the store refuses everything first, in milliseconds.

const outageMs = Number(process.argv[2] ?? 0);
let refusedPuts = 0;
let outageEndMs = Number.POSITIVE_INFINITY;

const composition = await compose(readSettings(process.env), {
  clock: systemClock,
  log: NO_LOG,
  meter: NO_METER,
  wrap: {
    store: (store) => ({
      ...store,
      put(key, bytes, options) {
        if (Date.now() > outageEndMs) return store.put(key, bytes, options);
        refusedPuts++;
        throw new StoreError("store_unavailable", `writing object ${key}: refused by the test`, { retryable: true });
      },
    }),
  },
});
const broker = await composition.embedded();
const peakOf = () => process.resourceUsage().maxRSS * 1024;
const baseBytes = peakOf();
const functions = await startFunctions(composition);
outageEndMs = Date.now() + outageMs;
for (;;) {
  const subscriptions = (await broker.topics()).flatMap((topic) => topic.subscriptions);
  if (subscriptions.every(({ backlog }) => backlog === 0)) break;
  await systemClock.sleep(50);
}
process.stdout.write(JSON.stringify({ baseBytes, peakBytes: peakOf(), refusedPuts }));
await functions.stop();
await composition.close();
