import { type ChildProcess, spawn } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freeze, thaw } from "../services/freezing.ts";
import type { ConsumerPlan } from "../services/kafka-consumer-child.ts";
import { type Rig, SESSION_MS } from "./support-kafka.ts";
import { until } from "./support-local.ts";

/** A process that runs the pipeline of a rig, or a part of it. */
export interface Consumer {
  /** How often it was given partitions of the source's topic; of the index topic where it indexes alone. */
  joined(): number;
  /** Resolves once it was given partitions. Throws where it ends before. */
  hasJoined(): Promise<void>;
  /** Ends it at once. */
  kill(): Promise<void>;
  /** Asks it to end; resolves with how it did. */
  terminate(): Promise<{ code: number | null; signal: string | null }>;
  /** Keeps it from running, and lets it run again. */
  freeze(): Promise<void>;
  thaw(): void;
  /** Resolves when it has ended: true where it was killed. Throws with its output where it failed. */
  ended(): Promise<boolean>;
}

const SCRIPT = join(import.meta.dirname, "..", "services", "kafka-consumer-child.ts");
const running = new Set<ChildProcess>();
let consumers = 0;

/** Resolves once it can be told to end. */
export async function startConsumer(rig: Rig, plan: Partial<ConsumerPlan> = {}): Promise<Consumer> {
  const { topic, indexTopic } = rig;
  const whole: ConsumerPlan = { runs: "all", step: "never", spared: 0, slowPutMs: [0, 0], indexTopic, indexSessionMs: SESSION_MS, ...plan };
  const hasIndex = whole.runs !== "persist";
  const dataDir = hasIndex ? rig.dataDir : join(rig.dataDir, `consumer-${++consumers}`);
  await mkdir(dataDir, { recursive: true });
  const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", SCRIPT, JSON.stringify(whole)], {
    env: { ...process.env, NODE_COMPILE_CACHE: join(tmpdir(), "node-compile-cache"), ...rig.environment(dataDir) },
    stdio: ["pipe", "pipe", "pipe"],
  });
  running.add(child);
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  }
  let end: { code: number | null; signal: string | null } | undefined;
  child.on("close", (code, signal) => {
    running.delete(child);
    end = { code, signal };
  });
  const awaited = whole.runs === "index" ? indexTopic : topic;
  const joined = () => output.split("\n").filter((line) => line.startsWith(`joined ${awaited} `)).length;
  const hasEnded = async () => {
    await until("a consumer to end", () => end !== undefined);
    return end as NonNullable<typeof end>;
  };
  await until("a consumer to start", () => output.startsWith("ready") || end !== undefined);
  return {
    joined,
    async hasJoined() {
      await until("a consumer to join", () => joined() > 0 || end !== undefined);
      if (joined() === 0) throw new Error(`a consumer ended before it had joined: ${JSON.stringify(end)} ${output}`);
    },
    async kill() {
      child.kill("SIGKILL");
      await hasEnded();
    },
    terminate() {
      child.kill("SIGTERM");
      return hasEnded();
    },
    freeze: () => freeze(child.pid as number),
    thaw: () => thaw(child.pid as number),
    async ended() {
      const { code, signal } = await hasEnded();
      if (signal === "SIGKILL") return true;
      if (code === 0) return false;
      throw new Error(`a consumer ended with ${code ?? signal}: ${output}`);
    },
  };
}

/** Ends those that a test left. */
export async function endLeftConsumers(): Promise<void> {
  for (const child of [...running]) child.kill("SIGKILL");
  await until("the consumers to end", () => running.size === 0);
}
