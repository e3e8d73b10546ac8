import { randomBytes } from "node:crypto";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { PubSub } from "@google-cloud/pubsub";
import { Storage } from "@google-cloud/storage";
import { GCP_FUNCTIONS } from "../../scripts/gcp-functions.ts";
import { newApiKey } from "../../shared/runtime/auth/keys.ts";
import { writersByIndexTopic } from "../../shared/runtime/index-topics.ts";
import { readSettings, type Settings } from "../../shared/runtime/settings/settings.ts";
import { answers, freePort, type Service, startService } from "./child.ts";
import { type FakeGcs, fakeGcsMissing, startFakeGcs } from "./fake-gcs.ts";
import { type MongoServer, mongoServerMissing, startMongoServer } from "./mongo-server.ts";
import { type OidcIssuer, startOidcIssuer } from "./oidc-issuer.ts";
import { type PubsubEmulator, pubsubEmulatorMissing, startPubsubEmulator } from "./pubsub-emulator.ts";
import { type PushPump, startPushPump } from "./push-pump.ts";

/** The functions of Google Cloud, by their targets. */
export type GcpTarget = keyof typeof GCP_FUNCTIONS;
export const GCP_TARGETS = Object.keys(GCP_FUNCTIONS) as GcpTarget[];

export interface GcpCloudOptions {
  /** Default: a fresh one. */
  projectId?: string;
  /** As for `PERSISTOR_PIPELINES`. */
  pipelines: Readonly<Record<string, unknown>>;
  /** As for `PERSISTOR_DESTINATIONS`; their topics are made, each with a subscription `<topic>-check`. */
  destinations: Readonly<Record<string, { broker: "pubsub"; topic: string }>>;
  /** Which functions run; default all. */
  targets?: readonly GcpTarget[];
  /** More settings of all functions. */
  environment?: Readonly<Record<string, string>>;
  /** Pipelines that are pushed; the others wait to be pulled. Default: all. */
  pushed?: readonly string[];
  /** Topics whose subscriptions keep the order of ordering keys, which makes the emulator slow. Default: none. */
  ordered?: readonly string[];
  /** Pushes of one subscription under way at once. Default 100. */
  pushConcurrency?: number;
  /** Puts something between the functions and Cloud Storage: returns the URL that they are given. */
  storageUrl?(url: string): Promise<string>;
  /** The same for MongoDB. */
  mongoUri?(uri: string): Promise<string>;
  /** The port of each part, by its name; default: free ones. */
  ports?: Partial<Record<GcpTarget | "pubsub" | "storage" | "mongodb", number>>;
  emulatorHeapMb?: number;
}

/** One function in a process of its own, under the functions framework, from its bundle. */
export interface RunningFunction {
  readonly url: string;
  readonly service: Service;
  /** Ends it by SIGKILL and starts it again on the same port. */
  restart(): Promise<void>;
  start(): Promise<void>;
}

/** Google Cloud on this machine: emulator, storage, MongoDB's protocol, an issuer of tokens, pushes, and the functions from their bundles. */
export interface GcpCloud {
  projectId: string;
  bucket: string;
  settings: Settings;
  environment: Readonly<Record<string, string>>;
  emulator: PubsubEmulator;
  gcs: FakeGcs;
  mongo: MongoServer;
  issuer: OidcIssuer;
  pubsub: PubSub;
  functions: Readonly<Record<GcpTarget, RunningFunction>>;
  pumps: Readonly<Record<string, PushPump>>;
  /** May do everything, as `Authorization: Bearer`. */
  apiKey: string;
  /** A token as Pub/Sub and the scheduler send it. */
  triggerToken(): Promise<string>;
  stop(): Promise<void>;
}

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const FRAMEWORK = join(dirname(createRequire(import.meta.url).resolve("@google-cloud/functions-framework")), "main.js");
const INDEX_SUBSCRIPTION_ENDING = "-indexer";
const WORK_TOPIC = "persistor-work";
const ACCOUNT = "trigger@persistor-local.iam.gserviceaccount.com";
const AUDIENCE = "https://persistor.local";
const BUCKET = "lake";
const PUSH_CONCURRENCY = 100;
const ACK_DEADLINE_S = 60;
const WORK_ACK_DEADLINE_S = 600;

/** Why it cannot run here, each missing part in a sentence; empty where it can. */
export function gcpCloudMissing(): string[] {
  return [pubsubEmulatorMissing(), fakeGcsMissing(), mongoServerMissing()].filter((reason) => reason !== undefined);
}

/** Starts everything; needs the bundles of `npm run build`. What was started ends where a part of it cannot be. */
export async function startGcpCloud(options: GcpCloudOptions): Promise<GcpCloud> {
  const closers: (() => Promise<unknown>)[] = [];
  const opened = <T extends { stop(): Promise<unknown> }>(part: T): T => {
    closers.push(() => part.stop());
    return part;
  };
  const stop = async () => {
    for (const close of closers.splice(0).reverse()) await close();
  };
  try {
    return await startParts(options, opened, stop);
  } catch (error) {
    await stop();
    throw error;
  }
}

async function startParts(
  options: GcpCloudOptions,
  opened: <T extends { stop(): Promise<unknown> }>(part: T) => T,
  stop: () => Promise<void>,
): Promise<GcpCloud> {
  const { ports = {}, targets = GCP_TARGETS } = options;
  const projectId = options.projectId ?? `persistor-${randomBytes(4).toString("hex")}`;
  const [emulator, gcs, mongo, issuer] = await Promise.all([
    startPubsubEmulator({ port: ports.pubsub, heapMb: options.emulatorHeapMb }).then(opened),
    startFakeGcs({ port: ports.storage }).then(opened),
    startMongoServer({ port: ports.mongodb }).then(opened),
    startOidcIssuer().then(opened),
  ]);
  await new Storage({ projectId, apiEndpoint: gcs.url, useAuthWithCustomEndpoint: false }).bucket(BUCKET).create();
  const { key, sha256 } = newApiKey("local");
  const environment: Record<string, string> = {
    METADATA_SERVER_DETECTION: "none",
    NODE_ENV: "production",
    GOOGLE_CLOUD_PROJECT: projectId,
    PUBSUB_EMULATOR_HOST: emulator.host,
    STORAGE_EMULATOR_HOST: (await options.storageUrl?.(gcs.url)) ?? gcs.url,
    PERSISTOR_MONGODB_URI: (await options.mongoUri?.(mongo.uri)) ?? mongo.uri,
    PERSISTOR_MONGODB_DATABASE: projectId,
    PERSISTOR_PIPELINES: JSON.stringify(options.pipelines),
    PERSISTOR_DESTINATIONS: JSON.stringify(options.destinations),
    PERSISTOR_CURSOR_SECRET: randomBytes(32).toString("hex"),
    PERSISTOR_AUTH: JSON.stringify({
      mode: "required",
      apiKeys: [{ id: "local", sha256, grants: { read: ["*"], publish: ["*"], admin: true } }],
    }),
    PERSISTOR_TRIGGER_AUTH: JSON.stringify({ mode: "required", issuer: issuer.url, audience: AUDIENCE, serviceAccounts: [ACCOUNT] }),
    ...options.environment,
  };
  const settings = readSettings(environment, "google");
  const pubsub = new PubSub({ projectId, apiEndpoint: emulator.host, emulatorMode: true });
  opened({ stop: () => pubsub.close() });
  await makeTopics(pubsub, settings, new Set(options.ordered));

  const functions = {} as Record<GcpTarget, RunningFunction>;
  await Promise.all(
    targets.map(async (target) => {
      functions[target] = opened(await runFunction(target, ports[target] ?? (await freePort()), environment));
    }),
  );
  const triggerToken = () => issuer.token({ aud: AUDIENCE, email: ACCOUNT, email_verified: true, sub: "1" });
  const pumps: Record<string, PushPump> = {};
  const pushToken = await triggerToken();
  const concurrency = options.pushConcurrency ?? PUSH_CONCURRENCY;
  for (const { name, ...push } of pushesOf(settings, functions, options.pushed)) {
    const pump = { ...push, emulatorHost: emulator.host, projectId, token: () => pushToken, concurrency };
    pumps[name] = opened(await startPushPump(pump));
  }
  return {
    projectId,
    bucket: BUCKET,
    settings,
    environment,
    emulator,
    gcs,
    mongo,
    issuer,
    pubsub,
    functions,
    pumps,
    apiKey: key,
    triggerToken,
    stop,
  };
}

/** The push subscriptions, as a deployment has them: each pipeline's, each index topic's, and that of the work topic. */
function pushesOf({ pipelines, workTopic }: Settings, functions: Readonly<Record<GcpTarget, RunningFunction>>, pushed?: readonly string[]) {
  const persists = Object.entries(pipelines)
    .filter(([name]) => functions.persist && (pushed === undefined || pushed.includes(name)))
    .map(([name, { source }]) => ({ name, subscription: source.subscription, endpoint: `${functions.persist.url}/persist/${name}` }));
  const indexes = functions.index
    ? indexTopicsOf(pipelines).map((topic) => ({
        name: topic,
        subscription: topic + INDEX_SUBSCRIPTION_ENDING,
        endpoint: `${functions.index.url}/index/${topic}`,
      }))
    : [];
  const work = functions["resubmit-work"]
    ? [{ name: WORK_TOPIC, subscription: `${workTopic?.topic}-worker`, endpoint: `${functions["resubmit-work"].url}/resubmit-work` }]
    : [];
  return [...persists, ...indexes, ...work];
}

function indexTopicsOf(pipelines: Settings["pipelines"]): string[] {
  return [...writersByIndexTopic(Object.entries(pipelines)).keys()];
}

async function makeTopics(
  pubsub: PubSub,
  { pipelines, destinations = {}, workTopic }: Settings,
  ordered: ReadonlySet<string>,
): Promise<void> {
  const wanted: { topic: string; subscription: string; ackDeadlineSeconds: number }[] = [
    ...Object.values(pipelines).map(({ source }) => ({ ...source, ackDeadlineSeconds: ACK_DEADLINE_S })),
    ...indexTopicsOf(pipelines).map((topic) => ({
      topic,
      subscription: topic + INDEX_SUBSCRIPTION_ENDING,
      ackDeadlineSeconds: ACK_DEADLINE_S,
    })),
    ...Object.values(destinations).map(({ topic }) => ({ topic, subscription: `${topic}-check`, ackDeadlineSeconds: ACK_DEADLINE_S })),
    {
      topic: workTopic?.topic ?? WORK_TOPIC,
      subscription: `${workTopic?.topic ?? WORK_TOPIC}-worker`,
      ackDeadlineSeconds: WORK_ACK_DEADLINE_S,
    },
  ];
  const made = new Set<string>();
  for (const { topic, subscription, ackDeadlineSeconds } of wanted) {
    if (!made.has(topic)) await pubsub.createTopic(topic);
    made.add(topic);
    await pubsub.topic(topic).createSubscription(subscription, { ackDeadlineSeconds, enableMessageOrdering: ordered.has(topic) });
  }
}

const PUSHED: ReadonlySet<GcpTarget> = new Set(["persist", "index"]);

/** As the README has them deployed: what a push leaves behind lives as long as the push, what a batch leaves is garbage at once. */
function nodeOptionsOf(target: GcpTarget): string {
  return `--max-semi-space-size=${PUSHED.has(target) ? 16 : 4}`;
}

async function runFunction(
  target: GcpTarget,
  port: number,
  env: Readonly<Record<string, string>>,
): Promise<RunningFunction & { stop(): Promise<void> }> {
  const url = `http://127.0.0.1:${port}`;
  const run = () =>
    startService({
      name: `function ${target}`,
      command: process.execPath,
      args: [FRAMEWORK, "--source", join(ROOT, "dist", "gcp", target), "--target", target, "--port", String(port)],
      env: { NODE_OPTIONS: nodeOptionsOf(target), ...env },
      isReady: () => answers(`${url}/healthz`),
    });
  let service = await run();
  const start = async () => {
    service = await run();
  };
  return {
    url,
    get service() {
      return service;
    },
    start,
    async restart() {
      await service.stop();
      await start();
    },
    stop: () => service.stop(),
  };
}
