/*
 * What archiving costs on Google Cloud:  npm run cost [-- --rate=<messages per second>]
 * Prints US dollars per million messages, by parts and ways, from the price list and the model in cost/.
 */
import { parseArgs } from "node:util";
import { INPUTS } from "./cost/inputs.ts";
import { notes, partsTable, priceLines, ratesTable } from "./cost/report.ts";

const USAGE = "usage: npm run cost -- [--rate=100]     (messages per second, above 0)";
const RATES = [1, 100, 5_000];

function fail(text: string): never {
  console.error(text);
  process.exit(2);
}

function readRate(): number {
  try {
    const { rate } = parseArgs({ options: { rate: { type: "string", default: String(INPUTS.messagesPerSecond) } } }).values;
    const number = rate.trim() === "" ? Number.NaN : Number(rate);
    return number > 0 && Number.isFinite(number) ? number : fail(`--rate=${rate} is no number above 0\n${USAGE}`);
  } catch (error) {
    return fail(`${(error as Error).message}\n${USAGE}`);
  }
}

const inputs = { ...INPUTS, messagesPerSecond: readRate() };
const lines = [
  `US dollars per million messages of 1 KiB with 5 attributes, at ${inputs.messagesPerSecond.toLocaleString("en")} messages/s`,
  "",
  ...partsTable(inputs),
  "",
  "The total by messages per second",
  "",
  ...ratesTable(inputs, RATES),
  "",
  ...notes(inputs),
  "",
  "Prices",
  ...priceLines().map((line) => `  ${line}`),
];
console.log(lines.join("\n"));
