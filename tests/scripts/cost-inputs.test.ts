import { describe, expect, it } from "vitest";
import { FLIGHTS, messagesFrom } from "../../bench/lib/flights.ts";
import { meanWait } from "../../scripts/cost/function-time.ts";
import { INPUTS } from "../../scripts/cost/inputs.ts";
import { encodeObject, FORMAT_VERSION, type RecordLocation } from "../../shared/core/avro/object-file.ts";
import { digestOf } from "../../shared/core/digest.ts";
import { groupCommit } from "../../shared/core/group-commit.ts";
import { encodeIndexMessages } from "../../shared/core/index/index-message.ts";
import { indexRecordOf } from "../../shared/core/index-record.ts";
import { contentSize } from "../../shared/core/message.ts";
import { fakeClock } from "../fixtures/fake-clock.ts";

const KEY = "raw/flights/2025/01/01/00/arrivals/flights_1234567890123456-2000-0123456789abcdef.avro";

describe("what the cost model takes from the code", () => {
  it.each([10, 100, 1_000])("joins about as many of %i requests per second as the group commit does", async (rate) => {
    const modelled = 1 + rate * meanWait(rate, 0.25);
    const joined = await joinedByGroupCommit(rate, 250);
    expect(shareOff(joined, modelled)).toBeLessThan(0.3);
  });

  it.each([1, 25, 2_000])("has the sizes of %i real messages, of their object and of their index records", async (count) => {
    const { measured, payloadBytes, attributeBytes } = INPUTS;
    const records = messagesFrom(0, count).map((message) => ({
      message,
      digest: digestOf(message),
      ingestionTimeUs: message.publishTimeUs,
      pipeline: FLIGHTS,
    }));
    const contents = records.reduce((sum, { message }) => sum + contentSize(message), 0);
    expect(shareOff(contents / count, payloadBytes + attributeBytes)).toBeLessThan(0.15);
    const encoded = await encodeObject(records, { codec: "zstandard", syncSeed: "1" });
    expect(shareOff(encoded.byteLength, measured.storedBytesPerObject + count * measured.storedBytesPerMessage)).toBeLessThan(0.15);
    const place = { store: "lake", key: KEY, codec: "zstandard", formatVersion: FORMAT_VERSION };
    const indexRecords = records.map((record, i) => indexRecordOf(record, { ...place, location: encoded.locations[i] as RecordLocation }));
    const indexMessages = encodeIndexMessages(FLIGHTS, indexRecords, INPUTS.indexCommit.maxMessageBytes);
    const indexBytes = indexMessages.reduce((sum, { payload }) => sum + payload.length, 0);
    expect(shareOff(indexBytes, count * measured.indexBytesPerMessage)).toBeLessThan(0.15);
  });
});

function shareOff(value: number, modelled: number): number {
  return Math.abs(value / modelled - 1);
}

/** Mean batch of the real group commit, as the push function sets it up, over 3,000 requests at random. */
async function joinedByGroupCommit(rate: number, maxWaitMs: number): Promise<number> {
  const clock = fakeClock(0);
  const batches: number[] = [];
  const flush = async (items: readonly number[]) => {
    batches.push(items.length);
    await clock.sleep(60);
    return items;
  };
  const options = {
    maxItems: 5_000,
    maxBytes: 8e6,
    maxWaitMs,
    quietMs: 10,
    maxInFlight: 2,
    maxHeldItems: 10_000,
    sizeOf: () => 1_085,
    clock,
  };
  const commits = groupCommit(flush, options);
  let nextMs = 0;
  for (const gap of gaps(3_000)) {
    while (nextMs > clock.nowMs()) await clock.advance(1);
    void commits.submit([1]);
    nextMs += (gap / rate) * 1_000;
  }
  return batches.reduce((sum, size) => sum + size, 0) / batches.length;
}

/** Times between events at random that come once in a unit of time, the same at every run. */
function* gaps(count: number): Generator<number> {
  let state = 1;
  for (let i = 0; i < count; i++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
    yield -Math.log((state + 1) / 0x8000_0001);
  }
}
