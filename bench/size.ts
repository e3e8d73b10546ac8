import { encodeObject } from "../shared/core/avro/object-file.ts";
import { digestOf } from "../shared/core/digest.ts";
import { BATCH_MESSAGES } from "./lib/archive.ts";
import { type Bench, RANGE_MESSAGES } from "./lib/context.ts";
import { FLIGHTS, messagesFrom } from "./lib/flights.ts";
import { tightest } from "./lib/tightest.ts";

/** Objects that are also compressed as tight as zstd can, which takes seconds for each. */
const TIGHT_OBJECTS = 1;

/** Bytes of objects with the default codec, as a share of the same objects with Avro's `null` codec. */
export const measure: Bench = async (_context, progress) => {
  const sum = { stored: 0, plain: 0, tight: 0, tightOf: 0 };
  progress("encoding 100,000 messages with and without compression");
  for (let first = 0; first < RANGE_MESSAGES; first += BATCH_MESSAGES) {
    const records = messagesFrom(first, BATCH_MESSAGES).map((message) => ({
      message,
      digest: digestOf(message),
      ingestionTimeUs: message.publishTimeUs,
      pipeline: FLIGHTS,
    }));
    const stored = await encodeObject(records, { codec: "zstandard", syncSeed: String(first) });
    const plain = await encodeObject(records, { codec: "null", syncSeed: String(first) });
    sum.stored += stored.byteLength;
    sum.plain += plain.byteLength;
    if (first >= TIGHT_OBJECTS * BATCH_MESSAGES) continue;
    sum.tight += (await tightest(Buffer.concat(plain.pieces))).length;
    sum.tightOf += plain.byteLength;
  }
  return [
    {
      name: "stored bytes per message against uncompressed",
      value: sum.stored / sum.plain,
      unit: "ratio",
      target: 0.25,
      better: "lower",
      limit: sum.tight / sum.tightOf,
      info: [
        { name: "stored bytes of one message", value: sum.stored / RANGE_MESSAGES, unit: "bytes" },
        { name: "uncompressed bytes of one message", value: sum.plain / RANGE_MESSAGES, unit: "bytes" },
      ],
    },
  ];
};
