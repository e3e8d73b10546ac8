import { archiveOf, type Bench, RANGE_MESSAGES, spelled } from "./lib/context.ts";

/** Records per second into the SQLite index, taken while the archive was built. */
export const measure: Bench = async (context) => {
  const { count, indexRates, bareRates } = archiveOf(context);
  const bare = overall(bareRates);
  return [
    {
      name: `index into SQLite, 5 attributes each, sustained to ${spelled(count)}`,
      value: overall(indexRates),
      unit: "records/s",
      target: 25_000,
      better: "higher",
      limit: bare,
      info: [
        { name: `the first ${spelled(RANGE_MESSAGES)}`, value: indexRates[0] ?? 0, unit: "records/s", limit: bareRates[0] },
        { name: `the last ${spelled(RANGE_MESSAGES)}`, value: indexRates.at(-1) ?? 0, unit: "records/s", limit: bareRates.at(-1) },
      ],
    },
  ];
};

/** Of parts of equal size: the harmonic mean. */
function overall(rates: readonly number[]): number {
  return rates.length / rates.reduce((sum, rate) => sum + 1 / rate, 0);
}
