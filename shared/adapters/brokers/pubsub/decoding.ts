import type { Delivery } from "../../../core/ports/source.ts";
import { messageOf, type Origin } from "./message.ts";
import type { ReceivedFields } from "./methods.ts";

/**
 * A delivery of a stream. Its payload is a view into the bytes of its response (about 100 messages): they are handed over, stored and settled
 * together, so a copy each would cost more than it frees.
 */
export function deliveryOf({ ackId, message, deliveryAttempt }: ReceivedFields, origin: Origin): Delivery {
  const { data, attributes, messageId, publishTime, orderingKey } = message ?? {};
  const fields = {
    payload: data instanceof Uint8Array && data.length > 0 ? data : NO_BYTES,
    attributes: attributes ?? {},
    messageId: messageId ?? "",
    publishTimeUs: Number(publishTime?.seconds ?? 0) * 1_000_000 + Math.floor((publishTime?.nanos ?? 0) / 1000),
    orderingKey: orderingKey ?? "",
  };
  return { ackId: ackId ?? "", attempt: deliveryAttempt || 1, message: messageOf(fields, origin) };
}

const NO_BYTES = new Uint8Array(0);
