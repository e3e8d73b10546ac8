import type { Inputs } from "./inputs.ts";
import { type Cost, costOf, type Usage, type Way } from "./model.ts";
import { dollarsFor, PRICES } from "./prices.ts";

const WAYS: readonly Way[] = ["push", "pull", "unbatched"];
const PARTS: Record<keyof Usage, string> = {
  requests: "function requests",
  vcpuSeconds: "function vCPU-seconds",
  gibSeconds: "function GiB-seconds",
  classAOperations: "Cloud Storage class A operations",
  storedGibHours: "storage, for each month",
  deliveryTib: "Pub/Sub, delivery to persist",
  indexTopicTib: "Pub/Sub, index topic",
  schedulerJobMonths: "Cloud Scheduler",
};
const NAME_WIDTH = 34;
const CELL_WIDTH = 11;

/** Lines of a table: parts by rows; ways, without and with the index, by columns. */
export function partsTable(inputs: Inputs): string[] {
  const costs = WAYS.flatMap((way) => [costOf(way, false, inputs), costOf(way, true, inputs)]);
  const parts = Object.keys(PARTS) as (keyof Usage)[];
  return [
    row("", headOfWays()),
    ...parts.map((part) =>
      row(
        PARTS[part],
        costs.map(({ dollars }) => money(dollars[part])),
      ),
    ),
    row(
      "total",
      costs.map(({ total }) => money(total)),
    ),
    row("messages per object", costs.map(objectSize)),
  ];
}

/** Lines of a table: totals, and messages per object, by rates. */
export function ratesTable(inputs: Inputs, rates: readonly number[]): string[] {
  const lines = rates.flatMap((messagesPerSecond) => {
    const costs = WAYS.flatMap((way) => [false, true].map((withIndex) => costOf(way, withIndex, { ...inputs, messagesPerSecond })));
    return [
      row(
        `${messagesPerSecond.toLocaleString("en")} messages/s`,
        costs.map(({ total }) => money(total)),
      ),
      row("  messages per object", costs.map(objectSize)),
    ];
  });
  return [row("", headOfWays()), ...lines];
}

/** Lines that tell what the tables rest on. */
export function notes({ measured, instance, latency, pull, payloadBytes, attributeBytes }: Inputs): string[] {
  const readBack = money(dollarsFor("classBOperation", 1e6));
  return [
    `Measured: ${measured.date}. See MEASURED in scripts/cost/inputs.ts.`,
    `Assumed: messages of ${payloadBytes} bytes and ${attributeBytes} of attributes, at random and steadily; one path per batch; instances of ${instance.vcpu} vCPU and`,
    `${instance.memoryGib} GiB that take ${instance.concurrency} requests at once; a put of ${ms(latency.putSeconds)}, a publish of ${ms(latency.publishSeconds)}, a write to the index of ${ms(latency.indexWriteSeconds)};`,
    `a drain every ${pull.everySeconds} s of at most ${pull.budgetSeconds} s; no cold starts, no redeliveries; the unbatched function runs on the same`,
    "instances and writes to the database itself.",
    "Left out: free tiers and discounts; the index's database, whose bill depends on where it runs; the user's own publishing; logs.",
    `Archiving reads no object. Reading messages back one by one is a class B operation each: ${readBack} for a million.`,
  ];
}

/** Lines of the price list. */
export function priceLines(): string[] {
  return Object.values(PRICES).map(
    ({ dollars, per, unit, region, page, seen }) =>
      `$${decimal(dollars)} per ${per === 1 ? "" : `${per.toLocaleString("en")} `}${unit} (${region}): ${page}, ${seen}`,
  );
}

const headOfWays = () => WAYS.flatMap((way) => [way, "+ index"]);

function row(name: string, cells: readonly string[]): string {
  return name.padEnd(NAME_WIDTH) + cells.map((cell) => cell.padStart(CELL_WIDTH)).join("");
}

function money(dollars: number): string {
  if (dollars === 0) return "-";
  return dollars < 0.0005 ? "< $0.001" : `$${dollars.toFixed(3)}`;
}

const objectSize = ({ messagesPerObject }: Cost) =>
  messagesPerObject.toLocaleString("en", { maximumFractionDigits: messagesPerObject < 10 ? 1 : 0 });
const decimal = (dollars: number) => dollars.toFixed(9).replace(/\.?0+$/, "");
const ms = (seconds: number) => `${Math.round(seconds * 1000)} ms`;
