import type { ServiceBusMessage, ServiceBusMessageBatch, ServiceBusSender } from "@azure/service-bus";
import { BrokerError } from "../../../core/errors.ts";
import type { MessageContent } from "../../../core/message.ts";
import type { PublishOutcome } from "../../../core/ports/publisher.ts";
import { propertiesStandingFor } from "../../support/amqp/raw-messages.ts";
import { BATCHED_BYTES, envelopeBytes, writeBatch } from "../../support/amqp/writing.ts";
import { brokerErrorOf } from "./errors.ts";
import { SERVICE_BUS } from "./message.ts";

/** An encoded message, and where it stood in the call. */
export interface Placed {
  position: number;
  content: MessageContent;
  encoded: Buffer;
}

/** A Premium namespace takes larger messages, but no larger batches. */
const MAX_BATCH_BYTES = 1_000_000;
/** Service Bus does not tell the sequence numbers of what it takes. */
const UNTOLD_ID = "";

/** Sends the messages of a lane in their order, batch by batch, and fills their outcomes; behind one that failed nothing more is sent. */
export function createSending(sender: ServiceBusSender, maxSizeInBytes: number, doing: string) {
  const maxBatchBytes = Math.min(maxSizeInBytes, MAX_BATCH_BYTES);
  return async (lane: readonly Placed[], outcomes: (PublishOutcome | undefined)[]): Promise<void> => {
    const fill = (cut: readonly Placed[], outcome: PublishOutcome) => {
      for (const { position } of cut) outcomes[position] = outcome;
    };
    const cuts = cutsOf(lane, maxBatchBytes);
    for (let cut = cuts.shift(); cut; cut = cuts.shift()) {
      try {
        await sender.sendMessages(sendableOf(cut, maxBatchBytes));
        fill(cut, { ok: true, messageId: UNTOLD_ID });
      } catch (error) {
        const failure = brokerErrorOf(error, doing);
        const isOfOne = failure.code === "refused" || failure.code === "too_large";
        if (isOfOne && cut.length > 1) cuts.unshift(...halvesOf(cut));
        else fill(cut, { ok: false, error: failure });
        if (!isOfOne) for (const unsent of cuts.splice(0)) fill(unsent, { ok: false, error: notSent(doing) });
      }
    }
  };
}

function halvesOf(cut: readonly Placed[]): [Placed[], Placed[]] {
  const middle = Math.ceil(cut.length / 2);
  return [cut.slice(0, middle), cut.slice(middle)];
}

function cutsOf(lane: readonly Placed[], maxBatchBytes: number): Placed[][] {
  const cuts: Placed[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const placed of lane) {
    const own = placed.encoded.length + BATCHED_BYTES;
    bytes += own;
    if (bytes <= maxBatchBytes) cuts.at(-1)?.push(placed);
    else {
      cuts.push([placed]);
      bytes = envelopeBytes(placed.content) + own;
    }
  }
  return cuts;
}

/** A batch as the SDK's sender takes it, and what it asks such a one for. */
interface EncodedBatch extends ServiceBusMessageBatch {
  _generateMessage(): Buffer;
  _messageSpanContexts: never[];
}

/** Messages that are encoded already, in the form of the SDK: a batch, or one that is too large for any batch. */
function sendableOf(cut: readonly Placed[], maxBatchBytes: number): ServiceBusMessage | EncodedBatch {
  const [{ content, encoded }] = cut as [Placed];
  if (encoded.length + BATCHED_BYTES + envelopeBytes(content) > maxBatchBytes) {
    return { body: NEVER_ENCODED, applicationProperties: propertiesStandingFor(encoded) };
  }
  const batch = writeBatch(
    cut.map((placed) => placed.encoded),
    content,
    SERVICE_BUS,
  );
  return {
    count: cut.length,
    sizeInBytes: batch.length,
    maxSizeInBytes: maxBatchBytes,
    tryAddMessage: () => false,
    _generateMessage: () => batch,
    _messageSpanContexts: [],
  };
}

/** A body that cannot be encoded: were the SDK to encode such a message itself, that would fail, and not send an empty one. */
class NeverEncoded extends Uint8Array {
  override get length(): number {
    throw new BrokerError("unsupported", "publishing to Service Bus: its library does not take messages that are encoded already");
  }
}
const NEVER_ENCODED = new NeverEncoded(0);

function notSent(doing: string): BrokerError {
  return new BrokerError("broker_unavailable", `${doing}: not sent, as a message before it was not; send it again behind that one`, {
    retryable: true,
  });
}
