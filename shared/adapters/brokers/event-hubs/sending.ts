import type { EventDataBatch, EventHubProducerClient } from "@azure/event-hubs";
import { BrokerError } from "../../../core/errors.ts";
import { type MessageContent, payloadContent } from "../../../core/message.ts";
import type { PublishOutcome } from "../../../core/ports/publisher.ts";
import { BATCHED_BYTES, envelopeBytes, writeBatch } from "../../support/amqp/writing.ts";
import { brokerErrorOf } from "./errors.ts";
import { EVENT_HUBS } from "./message.ts";
import type { Place } from "./placing.ts";

/** An encoded message, and where it stood in the call. */
export interface Placed {
  position: number;
  encoded: Buffer;
}

/** Messages that keep their order. */
export interface Lane {
  place: Place;
  placed: Placed[];
}

export interface SendingOptions {
  producer: EventHubProducerClient;
  /** For messages. */
  doing: string;
  /** Ends the calls. */
  signal: AbortSignal;
}

/** Event Hubs does not tell where it put what it took. */
const UNTOLD_ID = "";

/**
 * Sends the messages of a lane in their order, batch by batch, and fills their outcomes; behind one that failed nothing more is sent.
 */
export async function sendLane(lane: Lane, outcomes: (PublishOutcome | undefined)[], options: SendingOptions): Promise<void> {
  const { producer, doing, signal } = options;
  const partitionId = partitionOf(lane.place);
  const fail = (placed: readonly Placed[], error: BrokerError) => {
    for (const { position } of placed) outcomes[position] = { ok: false, error };
  };
  let maxBatchBytes: number;
  try {
    maxBatchBytes = (await producer.createBatch({ partitionId, abortSignal: signal })).maxSizeInBytes;
  } catch (error) {
    return fail(lane.placed, brokerErrorOf(error, doing));
  }
  const envelope = envelopeOf(lane.place);
  /** Whether what follows may be sent. */
  const sendCut = async (cut: readonly Placed[]): Promise<boolean> => {
    try {
      await producer.sendBatch(batchOf(cut, envelope, partitionId, maxBatchBytes), { abortSignal: signal });
      for (const { position } of cut) outcomes[position] = { ok: true, messageId: UNTOLD_ID };
      return true;
    } catch (error) {
      const failure = brokerErrorOf(error, doing);
      const isOfOne = failure.code === "refused" || failure.code === "too_large";
      if (isOfOne && cut.length > 1) {
        const middle = Math.ceil(cut.length / 2);
        return (await sendCut(cut.slice(0, middle))) && (await sendCut(cut.slice(middle)));
      }
      fail(cut, failure);
      return isOfOne;
    }
  };
  const ownBytes = envelopeBytes(envelope);
  const fits = ({ encoded }: Placed) => ownBytes + encoded.length + BATCHED_BYTES <= maxBatchBytes;
  for (const placed of lane.placed) if (!fits(placed)) fail([placed], tooLarge(placed, maxBatchBytes, doing));
  let isGoing = true;
  for (const cut of cutsOf(lane.placed.filter(fits), maxBatchBytes - ownBytes)) {
    if (isGoing) isGoing = await sendCut(cut);
    if (!isGoing)
      fail(
        cut.filter(({ position }) => outcomes[position] === undefined),
        notSent(doing),
      );
  }
}

function partitionOf(place: Place): string | undefined {
  return typeof place === "object" && "partition" in place ? place.partition : undefined;
}

/** What the service looks at to choose a partition: none for one that was chosen, where the messages' own keys say nothing. */
function envelopeOf(place: Place): MessageContent {
  const orderingKey = typeof place === "object" && "key" in place ? place.key : "";
  return { ...payloadContent(NO_BYTES), orderingKey };
}

const NO_BYTES = new Uint8Array(0);

function* cutsOf(lane: readonly Placed[], maxBytes: number): Generator<Placed[]> {
  let cut: Placed[] = [];
  let bytes = 0;
  for (const placed of lane) {
    const own = placed.encoded.length + BATCHED_BYTES;
    if (cut.length > 0 && bytes + own > maxBytes) {
      yield cut;
      cut = [];
      bytes = 0;
    }
    cut.push(placed);
    bytes += own;
  }
  if (cut.length > 0) yield cut;
}

/** A batch as the SDK's sender takes it, and what it asks such a one for. */
interface EncodedBatch extends EventDataBatch {
  _generateMessage(): Buffer;
  _messageSpanContexts: never[];
}

function batchOf(cut: readonly Placed[], envelope: MessageContent, partitionId: string | undefined, maxBatchBytes: number): EncodedBatch {
  const batch = writeBatch(
    cut.map(({ encoded }) => encoded),
    envelope,
    EVENT_HUBS,
  );
  return {
    count: cut.length,
    sizeInBytes: batch.length,
    maxSizeInBytes: maxBatchBytes,
    partitionId,
    tryAdd: () => false,
    _generateMessage: () => batch,
    _messageSpanContexts: [],
  } as EncodedBatch;
}

function tooLarge({ encoded }: Placed, maxBatchBytes: number, doing: string): BrokerError {
  const text = `${doing}: the message has ${encoded.length} bytes, and the event hub takes ${maxBatchBytes} at once`;
  return new BrokerError("too_large", `${text}; send less, or take a tier that carries more`);
}

function notSent(doing: string): BrokerError {
  return new BrokerError("broker_unavailable", `${doing}: not sent, as a message before it was not; send it again behind that one`, {
    retryable: true,
  });
}
