import { answers, freePort, type Service, startService } from "./child.ts";
import { isOnPath, pubsubEmulator } from "./programs.ts";

/** Google's Pub/Sub emulator, which holds its messages in memory. */
export interface PubsubEmulator extends Service {
  /** `host:port`, as for `PUBSUB_EMULATOR_HOST`. */
  host: string;
}

/** Why the emulator cannot run here; undefined where it can. */
export function pubsubEmulatorMissing(): string | undefined {
  if (!isOnPath("java")) return "the Pub/Sub emulator needs java on PATH";
  return pubsubEmulator() ? undefined : "the Pub/Sub emulator needs gcloud on PATH, with its component pubsub-emulator";
}

/** Starts the emulator on a free port, or on `port`. */
export async function startPubsubEmulator({ port, heapMb = 1024 }: { port?: number; heapMb?: number } = {}): Promise<PubsubEmulator> {
  const host = `127.0.0.1:${port ?? (await freePort())}`;
  const service = await startService({
    name: "pubsub-emulator",
    command: pubsubEmulator() as string,
    args: ["--host=127.0.0.1", `--port=${host.split(":")[1]}`],
    env: { JAVA_TOOL_OPTIONS: `-Xmx${heapMb}m` },
    isReady: () => answers(`http://${host}/`),
  });
  return { ...service, host };
}
