import rhea from "rhea";
import { netValue } from "../amqp/message.ts";
import type { EntityReceiver } from "./entity-receiver.ts";
import type { ReceivedMessage } from "./received.ts";
import type { Settlement } from "./settlement.ts";

/** What a function may settle while it runs, and what it has settled. */
export interface Actions {
  readonly settled: ReadonlySet<ReceivedMessage>;
  /** Whether the function gave the session back. */
  isReleased(): boolean;
  /** No settling after this. */
  end(): void;
}

/** Registers an invocation's messages under their lock tokens, and its session (azure-sdk-for-net MessagingProvider.ActionsCache). */
export function registerActions(settlement: Settlement, receiver: EntityReceiver, messages: readonly ReceivedMessage[]): Actions {
  const settled = new Set<ReceivedMessage>();
  let isReleased = false;
  for (const message of messages) {
    const settle = async (outcome: Parameters<ReceivedMessage["delivery"]["settle"]>[0]) => {
      await message.delivery.settle(outcome);
      settled.add(message);
    };
    settlement.messages.set(message.lockToken, {
      complete: () => settle({ kind: "complete" }),
      abandon: (properties) => settle({ kind: "abandon", annotations: mapIn(properties) }),
      defer: (properties) => settle({ kind: "defer", annotations: mapIn(properties) }),
      deadLetter: (properties, reason, description) =>
        settle({
          kind: "dead-letter",
          info: {
            ...mapIn(properties),
            ...(reason !== undefined && { DeadLetterReason: reason }),
            ...(description !== undefined && { DeadLetterErrorDescription: description }),
          },
        }),
      async renewLock() {
        message.lockedUntilMs = await receiver.renewLock(message);
      },
    });
  }
  const { session } = receiver;
  if (session) {
    settlement.sessions.set(session.id, {
      getState: () => session.getState(),
      setState: (state) => session.setState(state),
      renewLock: async () => new Date(await session.renew()),
      release() {
        isReleased = true;
      },
    });
  }
  return {
    settled,
    isReleased: () => isReleased,
    end() {
      for (const { lockToken } of messages) settlement.messages.delete(lockToken);
      if (session) settlement.sessions.delete(session.id);
    },
  };
}

/** Properties to modify come as an encoded AMQP map, or as nothing. */
function mapIn(bytes: Buffer): Record<string, unknown> {
  if (bytes.length === 0) return {};
  const reader = new (rhea.types as unknown as { Reader: new (bytes: Buffer) => { read(): { value: unknown[] } } }).Reader(bytes);
  const { value: items } = reader.read();
  return Object.fromEntries(items.flatMap((item, i) => (i % 2 === 0 ? [[String(netValue(item)), items[i + 1]]] : [])));
}

/** Settles what the function has not: completes after success where that is asked for, abandons after failure in any case. */
export async function settleRest(
  messages: readonly ReceivedMessage[],
  { settled }: Actions,
  succeeded: boolean,
  autoComplete: boolean,
): Promise<void> {
  const rest = messages.filter((message) => !settled.has(message));
  if (succeeded && !autoComplete) {
    for (const { delivery } of rest) delivery.forget();
    return;
  }
  const kind = succeeded ? "complete" : "abandon";
  const outcomes = await Promise.allSettled(rest.map(({ delivery }) => delivery.settle({ kind })));
  const refused = outcomes.find((outcome) => outcome.status === "rejected");
  if (refused) throw refused.reason;
}
