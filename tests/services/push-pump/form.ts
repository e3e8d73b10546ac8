import type { protos } from "@google-cloud/pubsub";

export type ReceivedMessage = protos.google.pubsub.v1.IReceivedMessage;

const UNIT_NANOS = { 3: 1_000_000, 6: 1_000, 9: 1 } as const;

/** The body that Pub/Sub pushes for a message, in the wrapped form; `attempt`, from 1 on, where the subscription counts them. */
export function wrappedForm({ message }: ReceivedMessage, subscription: string, attempt?: number): string {
  const { data, attributes, messageId, orderingKey, publishTime } = message ?? {};
  const time = timestamp(publishTime);
  return JSON.stringify({
    message: {
      attributes: attributes ?? {},
      data: Buffer.from(data ?? "").toString("base64"),
      messageId,
      message_id: messageId,
      ...(orderingKey ? { orderingKey } : {}),
      publishTime: time,
      publish_time: time,
    },
    subscription,
    ...(attempt === undefined ? {} : { deliveryAttempt: attempt }),
  });
}

/** RFC 3339 with as many digits as are needed: 3, 6 or 9. */
function timestamp(time: protos.google.protobuf.ITimestamp | null | undefined): string {
  const seconds = Number(time?.seconds ?? 0);
  const nanos = Number(time?.nanos ?? 0);
  const digits = ([3, 6] as const).find((digits) => nanos % UNIT_NANOS[digits] === 0) ?? 9;
  const fraction = String(nanos / UNIT_NANOS[digits]).padStart(digits, "0");
  return `${new Date(seconds * 1000).toISOString().slice(0, 19)}.${fraction}Z`;
}
