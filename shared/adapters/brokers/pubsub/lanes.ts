import type { OutgoingMessage } from "../../../core/ports/publisher.ts";
import { MAX_REQUEST_BYTES, requestBytesAtMost } from "./carrying.ts";

/** The messages of one request, by their positions in the call. All have one ordering key, or none. */
export interface Part {
  readonly positions: readonly number[];
  /** Bytes of the request, counted from above. */
  readonly bytes: number;
}

/** Parts that go out one after the other. */
export type Lane = readonly Part[];

const MAX_REQUEST_MESSAGES = 1000;
/** Below the limit, for the topic's path. */
const FULL_BYTES = MAX_REQUEST_BYTES - 1000;

/** Cuts the messages at `positions` into requests: each ordering key has a lane of its own, and so has each request without one. */
export function lanesOf(messages: readonly OutgoingMessage[], positions: readonly number[]): Lane[] {
  const byKey = new Map<string, number[]>();
  for (const position of positions) {
    const { orderingKey } = messages[position] as OutgoingMessage;
    const same = byKey.get(orderingKey);
    if (same) same.push(position);
    else byKey.set(orderingKey, [position]);
  }
  const lanes: Lane[] = [];
  for (const [key, same] of byKey) {
    const parts = partsOf(messages, same);
    if (key === "") for (const part of parts) lanes.push([part]);
    else lanes.push(parts);
  }
  return lanes;
}

function partsOf(messages: readonly OutgoingMessage[], positions: readonly number[]): Part[] {
  const parts: Part[] = [];
  let open: number[] = [];
  let bytes = 0;
  for (const position of positions) {
    const more = requestBytesAtMost(messages[position] as OutgoingMessage);
    if (open.length > 0 && (open.length >= MAX_REQUEST_MESSAGES || bytes + more > FULL_BYTES)) {
      parts.push({ positions: open, bytes });
      open = [];
      bytes = 0;
    }
    open.push(position);
    bytes += more;
  }
  if (open.length > 0) parts.push({ positions: open, bytes });
  return parts;
}

/** Two parts in the place of one, in order. */
export function halvesOf({ positions, bytes }: Part): Lane {
  const middle = positions.length >> 1;
  return [positions.slice(0, middle), positions.slice(middle)].map((half) => ({ positions: half, bytes }));
}
