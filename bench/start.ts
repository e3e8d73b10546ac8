import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Bench } from "./lib/context.ts";
import { startHost, startServer } from "./lib/host.ts";
import { percentiles } from "./lib/timing.ts";

const STARTS = 12;
const BARE_SERVER = `require("node:http").createServer((_, answer) => answer.end("ok")).listen(process.env.PORT, "127.0.0.1")`;

/** Starts of the local host on an empty data folder until it answers; the first one finds no compiled code kept by an earlier one. */
export const measure: Bench = async ({ folder }, progress) => {
  const compiled = join(folder, "compiled");
  const bareFile = join(folder, "bare-server.cjs");
  await writeFile(bareFile, BARE_SERVER);
  const startsMs: number[] = [];
  const readyMs: number[] = [];
  const bareMs: number[] = [];
  for (let i = 0; i <= STARTS; i++) {
    progress(`starting the local host: ${i} of ${STARTS + 1}`);
    const dataDir = join(folder, `data-${i}`);
    await mkdir(dataDir);
    const host = await startHost(dataDir, { NODE_COMPILE_CACHE: compiled });
    startsMs.push(host.startMs);
    readyMs.push(host.readyMs);
    await host.stop();
    const bare = await startServer([bareFile], "/", {});
    bareMs.push(bare.startMs);
    await bare.stop();
  }
  const [firstMs = Number.NaN, ...warmMs] = startsMs;
  const took = percentiles(warmMs);
  const limit = percentiles(bareMs);
  return [
    {
      name: "bare start of the local host until /healthz answers, p50",
      value: took.p50,
      unit: "ms",
      target: 500,
      better: "lower",
      limit: limit.p50,
      info: [
        { name: "slowest", value: took.p99, unit: "ms", limit: limit.p99 },
        { name: "until /readyz answers: every port is open, p50", value: percentiles(readyMs).p50, unit: "ms" },
        { name: "the very first: no compiled code is kept yet", value: firstMs, unit: "ms" },
      ],
    },
  ];
};
