import * as kafka from "@platformatic/kafka";

/** One version of an API: asks over a connection and calls back with the answer. */
export interface Api<A extends readonly unknown[], R> {
  (connection: kafka.Connection, ...args: [...A, (error: Error | null, answer?: R) => void]): void;
  readonly key: number;
  readonly version: number;
}

/** The versions of an API that are known here, the newest first. A broker is asked in the newest that it knows too. */
export type ApiFamily<A extends readonly unknown[], R> = readonly Api<A, R>[];

type ArgumentsOf<F> = F extends { api: { async: (connection: never, ...args: infer A) => unknown } } ? A : never;
type AnswerOf<F> = F extends { api: { async: (...args: never[]) => Promise<infer R> } } ? R : never;

/** Types are those of the newest version; the older ones leave out what they do not know. */
function family<F extends { api: unknown }>(newest: F, ...older: { api: unknown }[]): ApiFamily<ArgumentsOf<F>, AnswerOf<F>> {
  return [newest, ...older].map(({ api }) => api as Api<ArgumentsOf<F>, AnswerOf<F>>);
}

const k = kafka;

/** https://kafka.apache.org/protocol#protocol_api_keys */
export const METADATA = family(k.metadataV12, k.metadataV11, k.metadataV10, k.metadataV9, k.metadataV8, k.metadataV7, k.metadataV6);
export const FIND_COORDINATOR = family(
  k.findCoordinatorV6,
  k.findCoordinatorV5,
  k.findCoordinatorV4,
  k.findCoordinatorV3,
  k.findCoordinatorV2,
  k.findCoordinatorV1,
);
export const JOIN_GROUP = family(k.joinGroupV9, k.joinGroupV8, k.joinGroupV7, k.joinGroupV6, k.joinGroupV5, k.joinGroupV4, k.joinGroupV3);
export const SYNC_GROUP = family(k.syncGroupV5, k.syncGroupV4, k.syncGroupV3, k.syncGroupV2);
export const HEARTBEAT = family(k.heartbeatV4, k.heartbeatV3, k.heartbeatV2);
export const LEAVE_GROUP = family(k.leaveGroupV5, k.leaveGroupV4, k.leaveGroupV3, k.leaveGroupV2);
export const OFFSET_COMMIT = family(k.offsetCommitV8, k.offsetCommitV7, k.offsetCommitV6, k.offsetCommitV5);
export const OFFSET_FETCH = family(k.offsetFetchV8, k.offsetFetchV7, k.offsetFetchV6, k.offsetFetchV5);
export const LIST_OFFSETS = family(k.listOffsetsV7, k.listOffsetsV6, k.listOffsetsV5, k.listOffsetsV4);
export const INIT_PRODUCER_ID = family(k.initProducerIdV4, k.initProducerIdV3, k.initProducerIdV2);
