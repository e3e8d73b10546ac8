import { BrokerError } from "../../../core/errors.ts";
import { contentSize } from "../../../core/message.ts";
import type { OutgoingMessage, Publisher, PublishLimits, PublishOutcome } from "../../../core/ports/publisher.ts";
import { checkCall } from "../../support/call-limits.ts";
import type { Client } from "./client.ts";
import { checkName } from "./errors.ts";
import { packPublish } from "./frames.ts";

const LIMITS: PublishLimits = { maxMessages: 10_000, maxBytes: 32 * 1024 * 1024, maxMessageBytes: 16 * 1024 * 1024 };

/** Publishes into the broker's file; a topic that does not exist is created. It carries every message unaltered. */
export function createPublisher(client: Client): Publisher {
  return {
    limits: LIMITS,
    adapt: (content) => content,
    cannotCarry: () => undefined,
    async publish(topic, messages) {
      client.checkOpen();
      checkName("topic", topic);
      checkCall(messages, LIMITS);
      const fitting = messages.filter((message) => contentSize(message) <= LIMITS.maxMessageBytes);
      if (fitting.length === 0) return outcomesOf(messages, 0);
      const first = await client.writes.submit({ kind: "publish", topic, count: fitting.length, frames: packPublish(fitting) });
      client.wakeUps.notify(topic);
      return outcomesOf(messages, first);
    },
    async close() {
      await client.writes.drained();
    },
  };
}

/** Sequences follow each other from `first` on, over those messages that fit. */
function outcomesOf(messages: readonly OutgoingMessage[], first: number): PublishOutcome[] {
  let sequence = first;
  return messages.map((message): PublishOutcome => {
    const bytes = contentSize(message);
    if (bytes <= LIMITS.maxMessageBytes) return { ok: true, messageId: String(sequence++) };
    const text = `publishing a message of ${bytes} bytes: at most ${LIMITS.maxMessageBytes}; send less, or a pointer to it`;
    return { ok: false, error: new BrokerError("too_large", text) };
  });
}
