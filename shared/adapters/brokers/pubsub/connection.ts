import { setTimeout as sleep } from "node:timers/promises";
import { v1 } from "@google-cloud/pubsub";
import { grpc } from "google-gax";
import type * as z from "zod";
import { backOffMs } from "../../../core/retry.ts";
import { closedError, isTransient } from "./errors.ts";
import { type Method, type PullRequestFields, type PullResponse, streamingPull } from "./methods.ts";
import type { pubsubSettings } from "./settings.ts";

export type PullStream = grpc.ClientDuplexStream<PullRequestFields, PullResponse>;

/** One gRPC channel to a service of Pub/Sub, opened at its first use. */
export interface Connection {
  readonly isClosed: boolean;
  /** The project that short names belong to. Throws where neither settings nor credentials name one. */
  projectId(): Promise<string>;
  /**
   * Calls a method on the topic or subscription `path`, again after transient failures within 5 s, and gives up at `endMs` (of `performance.now()`).
   * Throws gRPC's error, or BrokerError once the connection is closed.
   */
  call<Request, Response>(method: Method<Request, Response>, path: string, request: Request, endMs: number): Promise<Response>;
  /** Opens a stream of deliveries. Throws what connecting throws. */
  openStream(subscription: string): Promise<PullStream>;
  /** Waits a few seconds for the calls under way, then ends them. */
  close(): Promise<void>;
}

const RETRY_WITHIN_MS = 5_000;
const RETRY = { firstDelayMs: 100, maxDelayMs: 1_000 } as const;
const CLOSE_WITHIN_MS = 5_000;
const MAX_RECONNECT_MS = 5_000;
/** As Pub/Sub's own client. */
const KEEP_ALIVE_MS = 300_000;

/** Opens nothing yet. `service` names the v1 client that makes channel and credentials. */
export function createConnection(service: "PublisherClient" | "SubscriberClient", settings: z.output<typeof pubsubSettings>): Connection {
  const closing = new AbortController();
  const calls = new Map<Promise<unknown>, grpc.ClientUnaryCall>();
  let client: v1.PublisherClient | v1.SubscriberClient | undefined;

  const clientNow = () => {
    if (closing.signal.aborted) throw closedError();
    client ??= new v1[service](clientOptions(settings));
    return client;
  };
  const stub = async (): Promise<grpc.Client> => {
    const used = clientNow();
    try {
      return (await used.initialize()) as unknown as grpc.Client;
    } catch (error) {
      // A client remembers that it could not start; credentials may be there the next time.
      if (client === used) client = undefined;
      throw error;
    }
  };
  const once = async <R>(method: Method<never, R>, path: string, request: Buffer, endMs: number): Promise<R> => {
    const channel = await stub();
    if (closing.signal.aborted) throw closedError();
    const { promise, resolve, reject } = Promise.withResolvers<R>();
    const deadline = Date.now() + Math.max(0, endMs - performance.now());
    const answered = (error: grpc.ServiceError | null, answer?: R) => (error ? reject(error) : resolve(answer as R));
    const headers = routing(method.routedBy, path);
    calls.set(promise, channel.makeUnaryRequest(method.path, asIs, method.decode, request, headers, { deadline }, answered));
    return promise.finally(() => calls.delete(promise));
  };
  return {
    get isClosed() {
      return closing.signal.aborted;
    },
    async projectId() {
      return settings.projectId ?? clientNow().getProjectId();
    },
    async call(method, path, request, endMs) {
      const encoded = method.encode(request);
      const retryUntilMs = Math.min(endMs, performance.now() + RETRY_WITHIN_MS);
      for (let attempt = 1; ; attempt++) {
        try {
          return await once(method, path, encoded, endMs);
        } catch (error) {
          const delayMs = backOffMs(attempt, RETRY);
          if (closing.signal.aborted || !isTransient(error) || performance.now() + delayMs > retryUntilMs) throw error;
          await sleep(delayMs, undefined, { signal: closing.signal }).catch(() => undefined);
        }
      }
    },
    async openStream(subscription) {
      const channel = await stub();
      const { path, encode, decode, routedBy } = streamingPull;
      return channel.makeBidiStreamRequest(path, encode, decode, routing(routedBy, subscription));
    },
    async close() {
      if (closing.signal.aborted) return;
      closing.abort();
      await Promise.race([Promise.allSettled(calls.keys()), sleep(CLOSE_WITHIN_MS, undefined, { ref: false })]);
      for (const call of calls.values()) call.cancel();
      await client?.close();
    },
  };
}

function clientOptions({ projectId, emulatorHost }: z.output<typeof pubsubSettings>) {
  const options = {
    ...(projectId === undefined ? {} : { projectId }),
    // A channel of its own: streams and acknowledgements of other sources do not wait for each other's places.
    "grpc.use_local_subchannel_pool": 1,
    "grpc.max_reconnect_backoff_ms": MAX_RECONNECT_MS,
    "grpc.keepalive_time_ms": KEEP_ALIVE_MS,
  };
  if (emulatorHost === undefined) return options;
  const colon = emulatorHost.lastIndexOf(":");
  return {
    ...options,
    servicePath: emulatorHost.slice(0, colon),
    port: Number(emulatorHost.slice(colon + 1)),
    sslCreds: grpc.credentials.createInsecure(),
  };
}

function routing(field: string, path: string): grpc.Metadata {
  const headers = new grpc.Metadata();
  headers.set("x-goog-request-params", `${field}=${encodeURIComponent(path)}`);
  return headers;
}

function asIs(bytes: Buffer): Buffer {
  return bytes;
}
