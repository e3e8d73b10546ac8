import { encodeObject, readObject } from "../../shared/core/avro/object-file.ts";
import type { StoredRecord } from "../../shared/core/avro/stored-record.ts";
import { contentSize } from "../../shared/core/message.ts";
import type { Ports } from "../../shared/runtime/ports.ts";
import { FLIGHTS } from "../lib/flights.ts";
import { tightest } from "../lib/tightest.ts";
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
    const tight = await withPorts(cloud, tightestBytes);
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

/** Of the first object. */
async function tightestBytes(ports: Ports): Promise<{ stored: number; content: number }> {
  const { store } = await ports.pipeline(FLIGHTS);
  const records: StoredRecord[] = [];
  for await (const { key } of store.objects.list("raw/")) {
    for await (const block of readObject((await store.objects.get(key)).bytes, { brokerId: "", pipeline: "", topic: "" })) {
      if ("fault" in block) throw block.fault.error;
      records.push(...block.records.map(({ record }) => record));
    }
    break;
  }
  const plain = await encodeObject(records, { codec: "null", syncSeed: "size" });
  return {
    stored: (await tightest(Buffer.concat(plain.pieces))).length / records.length,
    content: records.reduce((sum, { message }) => sum + contentSize(message), 0) / records.length,
  };
}
