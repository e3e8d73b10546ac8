import type { Receiver } from "rhea";
import { DecodeError } from "./amqp-bytes.ts";
import type { Faults } from "./faults.ts";
import { messagesOfBatch, type SentMessage, takeApart } from "./message.ts";
import { type AmqpError, accepted, apart, rejected } from "./rhea-server.ts";

/** Where what a client sends goes to: all of a transfer, or nothing. */
export interface Target {
  readonly maxMessageBytes: number;
  /** Takes messages; returns why it takes none of them. `envelope`: of a batch. */
  take(messages: readonly SentMessage[], envelope: SentMessage | undefined): AmqpError | undefined;
}

export interface SendingSetup {
  receiver: Receiver;
  /** As the client named it. */
  address: string;
  target: Target;
  faults: Faults;
  drop(): void;
}

const BATCH_FORMAT = 0x80013700;

/** Takes what a client sends over a link. */
export function openSending({ receiver, address, target, faults, drop }: SendingSetup): void {
  receiver.on("message", ({ message, delivery, format }) => {
    const bytes = message as unknown as Buffer;
    const parsed = parse(bytes, format);
    faults.meet({
      event: "transfer",
      entity: address,
      count: "messages" in parsed ? parsed.messages.length : 1,
      take() {
        if (bytes.length > target.maxMessageBytes) return tooLarge(bytes.length, target.maxMessageBytes);
        return "error" in parsed ? parsed.error : target.take(parsed.messages, parsed.envelope);
      },
      answer: apart((error) => delivery?.update(true, error ? rejected(error) : accepted())),
      drop,
    });
  });
}

type Parsed = { messages: SentMessage[]; envelope: SentMessage | undefined } | { error: AmqpError };

function parse(bytes: Buffer, format: number | undefined): Parsed {
  try {
    if (format !== BATCH_FORMAT) return { messages: [takeApart(bytes)], envelope: undefined };
    return { messages: messagesOfBatch(bytes).map(takeApart), envelope: takeApart(bytes) };
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    return { error: { condition: error.condition, description: error.message } };
  }
}

const tooLarge = (size: number, limit: number): AmqpError => ({
  condition: "amqp:link:message-size-exceeded",
  description: `The received message (size:${size} bytes) exceeds the limit (${limit} bytes) currently allowed on the link.`,
});
