import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { open } from "../../shared/adapters/brokers/kafka/adapter.ts";
import { digestOf } from "../../shared/core/digest.ts";
import { type Attribute, binaryAttribute, type MessageContent, nullAttribute, stringAttribute } from "../../shared/core/message.ts";
import type { OutgoingMessage, Publisher } from "../../shared/core/ports/publisher.ts";
import type { KafkaBroker } from "../services/kafka-broker.ts";

/** Publishes while something else happens, and knows what the broker took. */
export interface KafkaWriter {
  /** Digests of what was published, by `<partition>-<offset>`; several where the topic was made again. */
  readonly sent: ReadonlyMap<string, ReadonlySet<string>>;
  /** Digests of what was published at a place that the broker did not tell, as it took it for a repeat. */
  readonly unplaced: readonly string[];
  /** Digests of all that may have been published. */
  readonly tried: ReadonlySet<string>;
  /** Publishes these, each as often as it takes. */
  publish(contents: readonly OutgoingMessage[]): Promise<void>;
  /** Publishes on and on, beginning now. */
  start(): void;
  /** Resolves when what was begun is published. Throws what keeps it from being so. */
  stop(): Promise<void>;
  close(): Promise<void>;
}

const A_CALL = 25;
const EVERY_MS = 30;
const GIVE_UP_AFTER_MS = 60_000;

export async function openWriter({ host }: Pick<KafkaBroker, "host">, topic: string): Promise<KafkaWriter> {
  const { publisher, close } = await open({ brokers: [host] }, { dataDir: "" });
  const sent = new Map<string, Set<string>>();
  const unplaced: string[] = [];
  const tried = new Set<string>();
  let number = 0;
  let isStopped = true;
  let writing: Promise<void> = Promise.resolve();

  const note = (content: MessageContent, messageId: string) => {
    const digest = digestOf(content).toString("hex");
    if (messageId.endsWith("unknown")) unplaced.push(digest);
    else sent.set(messageId, (sent.get(messageId) ?? new Set()).add(digest));
  };
  const publish = async (contents: readonly OutgoingMessage[]) => {
    for (const content of contents) tried.add(digestOf(content).toString("hex"));
    let left = contents;
    for (const endMs = Date.now() + GIVE_UP_AFTER_MS; left.length > 0; ) {
      const outcomes = await outcomesOf(publisher, topic, left);
      outcomes.forEach((messageId, i) => {
        if (messageId !== undefined) note(left[i] as OutgoingMessage, messageId);
      });
      left = left.filter((_, i) => outcomes[i] === undefined);
      if (left.length > 0 && Date.now() > endMs) throw new Error(`publishing to ${topic}: the broker does not take it`);
      if (left.length > 0) await sleep(100);
    }
  };
  const write = async () => {
    while (!isStopped) {
      await publish(Array.from({ length: A_CALL }, () => nastyContent(number++)));
      await sleep(EVERY_MS);
    }
  };
  return {
    sent,
    unplaced,
    tried,
    publish,
    start() {
      isStopped = false;
      writing = write();
      writing.catch(() => undefined);
    },
    async stop() {
      isStopped = true;
      await writing;
    },
    close,
  };
}

/** The message id of each that was published. */
async function outcomesOf(publisher: Publisher, topic: string, contents: readonly OutgoingMessage[]): Promise<(string | undefined)[]> {
  try {
    const outcomes = await publisher.publish(topic, contents);
    return outcomes.map((outcome) => (outcome.ok ? outcome.messageId : undefined));
  } catch {
    return contents.map(() => undefined);
  }
}

const NO_BYTES = new Uint8Array(0);
const NOT_TEXT = Uint8Array.of(0xff, 0xfe, 0, 0x80);
const HEADERS: readonly Attribute[] = [
  stringAttribute("", "a header without a name"),
  stringAttribute("empty", ""),
  stringAttribute("repeated", "1"),
  nullAttribute("repeated"),
  stringAttribute("repeated", "1"),
  nullAttribute("null"),
  binaryAttribute("binary", NOT_TEXT),
  stringAttribute("long", "ü".repeat(2_000)),
  stringAttribute("日本 ü\u0000\n", "😀 \u0000 \u2028"),
];

function keyOf(n: number): Uint8Array | null {
  const keys = [null, NO_BYTES, Buffer.concat([NOT_TEXT, randomBytes(4)]), randomBytes(300), Buffer.from(`key ${n}`), null];
  return keys[n % keys.length] as Uint8Array | null;
}

function payloadOf(n: number): Uint8Array {
  if (n % 150 === 1) return randomBytes(100_000);
  return n % 13 === 2 ? NO_BYTES : randomBytes(1_024);
}

/** One of the messages that have broken message systems before: keys, headers and payloads of all kinds, in turn. */
export function nastyContent(n: number): OutgoingMessage {
  const isTombstone = n % 17 === 3;
  return {
    payloadKind: isTombstone ? "null" : "bytes",
    payload: isTombstone ? NO_BYTES : payloadOf(n),
    attributes: n % 4 === 0 ? HEADERS : n % 4 === 1 ? [] : [stringAttribute("number", String(n))],
    system: [],
    key: keyOf(n),
    orderingKey: "",
    contentType: "",
  };
}
