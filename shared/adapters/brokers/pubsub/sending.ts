import { BrokerError } from "../../../core/errors.ts";
import type { Attribute } from "../../../core/message.ts";
import type { OutgoingMessage, PublishOutcome } from "../../../core/ports/publisher.ts";
import type { Connection } from "./connection.ts";
import { brokerErrorOf, type Doing, isDenied, isInvalidArgument, isNotFound } from "./errors.ts";
import type { Gate } from "./gate.ts";
import { halvesOf, type Lane, type Part } from "./lanes.ts";
import { type PubsubMessageFields, publish } from "./methods.ts";

/** One call of the port. */
export interface PublishCall {
  connection: Connection;
  gate: Gate;
  /** The topic's full path. */
  path: string;
  messages: readonly OutgoingMessage[];
  /** Filled in by position. */
  outcomes: (PublishOutcome | undefined)[];
}

export interface Sending {
  /** Sends a lane's parts in turn and fills in their outcomes; behind a part that is to be sent again, nothing more is sent. */
  sendLane(lane: Lane): Promise<void>;
  /** A missing topic or permission, where nothing else came of any request: then nothing was taken. */
  wholeFailure(): BrokerError | undefined;
}

/** Nothing hangs when the broker is away. */
const CALL_MS = 30_000;

/** Sends the parts of one call of the port. */
export function createSending({ connection, gate, path, messages, outcomes }: PublishCall): Sending {
  const endMs = performance.now() + CALL_MS;
  const doing: Doing = { what: `publishing to ${path}`, role: "roles/pubsub.publisher" };
  /** Holds for the topic, so that no further request is made. */
  let certain: BrokerError | undefined;
  let otherEnds = 0;

  const fail = ({ positions }: Part, error: BrokerError) => {
    for (const position of positions) outcomes[position] = { ok: false, error };
  };
  const request = async ({ positions, bytes }: Part): Promise<void> => {
    const fields = { topic: path, messages: positions.map((position) => fieldsOf(messages[position] as OutgoingMessage)) };
    const ids = await gate.run(bytes, () => connection.call(publish, path, fields, endMs));
    if (ids.length !== positions.length) throw wrongCount(doing, ids.length, positions.length);
    positions.forEach((position, i) => {
      outcomes[position] = { ok: true, messageId: ids[i] as string };
    });
  };
  /** Whether what follows in its lane may be sent. */
  const sendPart = async (part: Part): Promise<boolean> => {
    try {
      await request(part);
      otherEnds++;
      return true;
    } catch (error) {
      // One message that Pub/Sub does not take fails all of its request: the others go out without it.
      if (isInvalidArgument(error) && part.positions.length > 1) return sendInTurn(halvesOf(part));
      const failure = brokerErrorOf(error, doing);
      if (isNotFound(error) || isDenied(error)) certain ??= failure;
      else otherEnds++;
      fail(part, failure);
      return isInvalidArgument(error);
    }
  };
  const sendInTurn = async (lane: Lane): Promise<boolean> => {
    let isGoing = true;
    for (const part of lane) {
      if (isGoing && !certain) isGoing = await sendPart(part);
      else fail(part, certain ?? notSent(doing));
    }
    return isGoing;
  };
  return {
    async sendLane(lane) {
      await sendInTurn(lane);
    },
    wholeFailure: () => (otherEnds === 0 ? certain : undefined),
  };
}

function wrongCount({ what }: Doing, answered: number, sent: number): BrokerError {
  return new BrokerError("broker_unavailable", `${what}: ${answered} ids came for ${sent} messages; send them again`, { retryable: true });
}

function notSent({ what }: Doing): BrokerError {
  const text = `${what}: not sent, as a message before it was not; send it again behind that one`;
  return new BrokerError("broker_unavailable", text, { retryable: true });
}

function fieldsOf({ payload, attributes, orderingKey }: OutgoingMessage): PubsubMessageFields {
  return { data: payload, attributes: mapOf(attributes), orderingKey };
}

/** Without a prototype, so that every name is one of the map. */
function mapOf(attributes: readonly Attribute[]): Record<string, string> {
  const map: Record<string, string> = Object.create(null);
  for (const { name, value } of attributes) map[name] = value as string;
  return map;
}
