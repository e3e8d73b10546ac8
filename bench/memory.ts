import { forgetResubmissions } from "./lib/archive.ts";
import { type Progress, runChild } from "./lib/child.ts";
import { archiveOf, type Bench, RANGE_MESSAGES, spelled } from "./lib/context.ts";
import type { Driven, DriveOrder } from "./lib/drive.ts";
import { startFlags } from "./lib/start-command.ts";
import { perSecond } from "./lib/timing.ts";

/** Peak memory of a process that only resubmits, for 100,000 messages and for all; the limit is one that opens the same and does nothing. */
export const measure: Bench = async (context, progress) => {
  const archive = archiveOf(context);
  const run = async (count: number, at: Progress): Promise<Driven> => {
    at(`resubmitting ${spelled(count)} messages`);
    await forgetResubmissions(archive);
    return runChild<DriveOrder, Driven>(new URL("./lib/drive.ts", import.meta.url), { dataDir: archive.dataDir, count }, at, startFlags());
  };
  const idle = await run(0, progress);
  const some = await run(RANGE_MESSAGES, progress);
  const all = await run(archive.count, progress);
  await forgetResubmissions(archive);
  return [
    {
      name: `peak RSS resubmitting ${spelled(archive.count)}`,
      value: all.peakRssMb,
      unit: "MB",
      target: 300,
      better: "lower",
      limit: idle.peakRssMb,
      info: [
        { name: `resubmitting ${spelled(RANGE_MESSAGES)}`, value: some.peakRssMb, unit: "MB", limit: idle.peakRssMb },
        { name: "published and verified identical", value: archive.count, unit: "messages" },
        { name: "speed", value: perSecond(archive.count, all.jobMs), unit: "messages/s" },
      ],
    },
    {
      name: `peak RSS for ${spelled(archive.count)} against ${spelled(RANGE_MESSAGES)}`,
      value: all.peakRssMb / some.peakRssMb,
      unit: "ratio",
      target: 1.1,
      better: "lower",
      limit: 1,
    },
  ];
};
