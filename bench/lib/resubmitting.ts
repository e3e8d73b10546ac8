import { setTimeout as sleep } from "node:timers/promises";
import { FIRST_PUBLISH_MS, FLIGHTS } from "./flights.ts";
import { call, type Host } from "./host.ts";

const COUNTS = ["indexed", "fetched", "deserialized", "published", "verified"] as const;
const POLL_MS = 50;

type Summary = Record<`${(typeof COUNTS)[number]}_count`, number>;

interface JobAnswer {
  job: string;
  state?: string;
  summary?: Summary;
}

/** One call to a local host, for the range of the first `count` to a destination; fails unless every message went out and was verified. */
export async function resubmit({ url }: Host, destination: string, count: number): Promise<void> {
  const [lb, ub] = [FIRST_PUBLISH_MS, FIRST_PUBLISH_MS + count].map((ms) => new Date(ms).toISOString());
  const body = { broker_id: FLIGHTS, lb, ub };
  let answer = await call<JobAnswer>(`${url}/resubmitter/range/${FLIGHTS}?topic=${destination}`, "POST", body);
  // Where it takes longer than a request may, the answer is the job alone.
  while (!answer.summary || answer.state === "planning" || answer.state === "running") {
    await sleep(POLL_MS);
    answer = await call<JobAnswer>(`${url}/resubmitter/jobs/${answer.job}`);
  }
  const { summary, state = "succeeded" } = answer;
  if (state === "succeeded" && COUNTS.every((step) => summary[`${step}_count`] === count)) return;
  throw new Error(`resubmitting ${count} messages: the job is ${state}, its summary ${JSON.stringify(summary)}`);
}
