import { BrokerError } from "../../core/errors.ts";
import { contentSize } from "../../core/message.ts";
import type { OutgoingMessage, PublishLimits } from "../../core/ports/publisher.ts";

/** Refuses a call of a publisher that is larger than its limits; a single message may be. Throws BrokerError `too_large`. */
export function checkCall(messages: readonly OutgoingMessage[], { maxMessages, maxBytes }: PublishLimits): void {
  const bytes = messages.reduce((sum, message) => sum + contentSize(message), 0);
  if (messages.length <= maxMessages && (messages.length <= 1 || bytes <= maxBytes)) return;
  const text = `publishing ${messages.length} messages of ${bytes} bytes in one call: at most ${maxMessages} messages and ${maxBytes} bytes`;
  throw new BrokerError("too_large", `${text}; send several calls`);
}
