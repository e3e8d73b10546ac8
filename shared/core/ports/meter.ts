import type { CounterName, HistogramName } from "../instruments.ts";

/** Labels of one measurement: few values each, never ids. */
export type MeterAttributes = Readonly<Record<string, string | number | boolean>>;

/** Where core code counts and measures. Names and units: instruments.ts. */
export interface Meter {
  /** Raises a counter by `value`, which is not negative. */
  add(name: CounterName, value: number, attributes?: MeterAttributes): void;
  /** Notes one value of a distribution. */
  record(name: HistogramName, value: number, attributes?: MeterAttributes): void;
}

/** Counts nothing. */
export const NO_METER: Meter = { add: () => undefined, record: () => undefined };
