import * as kafka from "@platformatic/kafka";

/** A batch for one partition. */
export interface ProducedBatch {
  topic: string;
  partition: number;
  batch: Buffer;
}

export interface ProduceAnswer {
  /** 0: none. */
  errorCode: number;
  /** What the broker says of the error; empty where it says nothing. */
  errorMessage: string;
  /** -1 where the broker does not know it any more. */
  baseOffset: number;
}

export const PRODUCE_KEY = 0;
const FLEXIBLE_FROM = 9;
const PARSERS = {
  11: kafka.produceV11.parseResponse,
  10: kafka.produceV10.parseResponse,
  9: kafka.produceV9.parseResponse,
  8: kafka.produceV8.parseResponse,
  7: kafka.produceV7.parseResponse,
} as const;
export const PRODUCE_VERSIONS: readonly number[] = [11, 10, 9, 8, 7];
const ALL_IN_SYNC = -1;

type Answer = ReturnType<typeof kafka.produceV11.parseResponse>;

/** Hands one batch to its partition's leader, to be answered once all in-sync replicas have it. Throws the client's errors, not those in the answer. */
export function produceTo(connection: kafka.Connection, version: number, batch: ProducedBatch, timeoutMs: number): Promise<ProduceAnswer> {
  const isFlexible = version >= FLEXIBLE_FROM;
  return new Promise((resolve, reject) => {
    connection.send(
      PRODUCE_KEY,
      version,
      () => requestOf(batch, timeoutMs, isFlexible),
      (id, key, asVersion, reader) => readAnswer(() => PARSERS[version as keyof typeof PARSERS](id, key, asVersion, reader)),
      isFlexible,
      isFlexible,
      (error: Error | null, answer?: ProduceAnswer) => (error ? reject(error) : resolve(answer as ProduceAnswer)),
    );
  });
}

function requestOf({ topic, partition, batch }: ProducedBatch, timeoutMs: number, isFlexible: boolean): kafka.Writer {
  const writer = kafka.Writer.create()
    .appendString(null, isFlexible)
    .appendInt16(ALL_IN_SYNC)
    .appendInt32(timeoutMs)
    .appendArray(
      [partition],
      (topics) => {
        topics.appendString(topic, isFlexible).appendArray(
          [partition],
          (partitions) => {
            partitions.appendInt32(partition);
            if (isFlexible) partitions.appendUnsignedVarInt(batch.length + 1);
            else partitions.appendInt32(batch.length);
            partitions.append(batch);
          },
          isFlexible,
          isFlexible,
        );
      },
      isFlexible,
      isFlexible,
    );
  return isFlexible ? writer.appendTaggedFields() : writer;
}

/** An error in the answer is part of the answer: it tells what became of the batch. */
function readAnswer(parse: () => unknown): ProduceAnswer {
  const { responses } = parsed(parse);
  const answer = responses[0]?.partitionResponses[0];
  if (!answer) throw new Error("the broker's answer names no partition");
  return { errorCode: answer.errorCode, errorMessage: answer.errorMessage ?? "", baseOffset: Number(answer.baseOffset) };
}

function parsed(parse: () => unknown): Answer {
  try {
    return parse() as Answer;
  } catch (error) {
    const { response } = error as { response?: Answer };
    if (response) return response;
    throw error;
  }
}
