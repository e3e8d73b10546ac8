import { FLIGHTS } from "../lib/flights.ts";
import { tightestOf } from "../lib/tightest.ts";
import { listStored, post, withCloud } from "./lib/cloud.ts";
import type { GcpBench } from "./lib/context.ts";
import { emulatorOf, publishFlights } from "./lib/pubsub.ts";
import { withPorts } from "./lib/records.ts";

/** Four objects; more make no difference. */
const MESSAGES = 20_000;
const FUNCTION = "persist-pull";

/** Bytes in the bucket for each message, as `persist-pull` stores them; the limit is one of its objects, compressed as tight as zstd can. */
export const measure: GcpBench = (_context, progress) =>
  withCloud({ targets: [FUNCTION] }, async (cloud) => {
    progress(`storing ${MESSAGES} messages`);
    await publishFlights({ ...emulatorOf(cloud), topic: FLIGHTS, count: MESSAGES });
    await post(`${cloud.functions[FUNCTION].url}/${FUNCTION}/${FLIGHTS}`, await cloud.triggerToken());
    const { bytes, objects } = await listStored(cloud, "raw/");
    progress("compressing an object as tight as it goes");
    const tight = await withPorts(cloud, async (ports) => tightestOf((await ports.pipeline(FLIGHTS)).store.objects, "raw/"));
    return [
      {
        name: "gcp size: stored bytes of a message",
        value: bytes / MESSAGES,
        unit: "bytes",
        target: 275,
        better: "lower",
        limit: tight.stored,
        info: [
          { name: "payload and attributes", value: tight.content, unit: "bytes" },
          { name: "messages of an object", value: MESSAGES / objects, unit: "messages" },
        ],
      },
    ];
  });
