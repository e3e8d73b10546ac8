import { mapConcurrently } from "../../../core/concurrency.ts";
import { BrokerError } from "../../../core/errors.ts";
import { contentSize } from "../../../core/message.ts";
import type { OutgoingMessage, Publisher, PublishLimits, PublishOutcome } from "../../../core/ports/publisher.ts";
import { checkCall } from "../../support/call-limits.ts";
import { adapt, cannotCarry } from "./carrying.ts";
import type { Connection } from "./connection.ts";
import { brokerErrorOf, closedError, type Doing } from "./errors.ts";
import { createGate } from "./gate.ts";
import { lanesOf } from "./lanes.ts";
import { checkName, pathOf } from "./names.ts";
import { createSending } from "./sending.ts";

/** Of one call of the port; cut into requests here. What fits `maxMessageBytes` fits a request of 10,000,000 bytes, but see `cannotCarry`. */
const LIMITS: PublishLimits = { maxMessages: 10_000, maxBytes: 32_000_000, maxMessageBytes: 9_998_000 };
const REQUESTS_IN_FLIGHT = 8;
const BYTES_IN_FLIGHT = 40_000_000;

/** Publishes to Pub/Sub's topics: ordering keys in their order, one beside the other; what Pub/Sub would alter is refused. */
export function createPublisher(connection: Connection): Publisher {
  const gate = createGate(REQUESTS_IN_FLIGHT, BYTES_IN_FLIGHT);
  return {
    limits: LIMITS,
    adapt,
    cannotCarry,
    async publish(topic, messages) {
      if (connection.isClosed) throw closedError();
      checkName("topics", topic);
      checkCall(messages, LIMITS);
      const outcomes = messages.map(refusalOf);
      const carried = [...outcomes.keys()].filter((position) => outcomes[position] === undefined);
      if (carried.length === 0) return outcomes as PublishOutcome[];
      const path = await topicPath(topic, connection);
      const sending = createSending({ connection, gate, path, messages, outcomes });
      await mapConcurrently(lanesOf(messages, carried), REQUESTS_IN_FLIGHT, sending.sendLane);
      const failure = sending.wholeFailure();
      if (failure) throw failure;
      return outcomes as PublishOutcome[];
    },
    close: () => connection.close(),
  };
}

function refusalOf(message: OutgoingMessage): PublishOutcome | undefined {
  const bytes = contentSize(message);
  if (bytes > LIMITS.maxMessageBytes) {
    const text = `publishing a message of ${bytes} bytes: at most ${LIMITS.maxMessageBytes}; send less, or a pointer to it`;
    return { ok: false, error: new BrokerError("too_large", text) };
  }
  const reason = cannotCarry(message);
  return reason === undefined ? undefined : { ok: false, error: new BrokerError("unsupported", `publishing a message: ${reason}`) };
}

async function topicPath(topic: string, connection: Connection): Promise<string> {
  const doing: Doing = { what: `publishing to ${topic}`, role: "roles/pubsub.publisher" };
  try {
    return await pathOf("topics", topic, connection.projectId);
  } catch (error) {
    throw brokerErrorOf(error, doing);
  }
}
