import { PersistorError } from "../../core/errors.ts";
import { createLog } from "../log.ts";
import { readSettings, type Settings } from "../settings/settings.ts";
import { type Console, openConsole } from "./console.ts";
import { claimFeed, endFeed } from "./first-run/feed.ts";
import { firstRun } from "./first-run/first-run.ts";
import { type LocalHost, startHost } from "./host.ts";

const LOOPBACK = new Set(["127.0.0.1", "localhost", "::1"]);

/** `npm start`: serves until it is interrupted; on an empty data folder it feeds and shows the sample first. */
export async function main(): Promise<void> {
  const console = openConsole();
  try {
    await serve(readSettings(process.env), console);
  } catch (error) {
    process.stderr.write(`${explain(error)}\n`);
    process.exitCode = 1;
  }
}

async function serve(settings: Settings, console: Console): Promise<void> {
  const stopping = new AbortController();
  const isFeedDue = settings.sample && settings.hasDefaultPipelines && (await claimFeed(settings.dataDir));
  const host = await startHost(settings, createLog({ level: settings.logLevel }));
  const ended = closeOnSignal(host, stopping, console);
  console.say(`Persistor listens on ${host.url}, its data is in ${settings.dataDir}.`);
  if (!LOOPBACK.has(settings.host) && settings.auth.mode === "open") {
    console.say("Anyone who reaches this port may read and publish everything: set PERSISTOR_AUTH.");
  }
  if (isFeedDue && settings.auth.mode === "open") await firstRun(host.composition, host.url, console, stopping.signal);
  else if (isFeedDue) {
    console.say("No sample data: it needs PERSISTOR_AUTH in mode open.");
    await endFeed(settings.dataDir);
  }
  if (!stopping.signal.aborted) showWhatIsServed(host, console);
  await ended;
}

function showWhatIsServed({ url, composition }: LocalHost, console: Console): void {
  const pipelines = [...composition.pipelines.values()].map(({ topic, index }) =>
    index ? `${topic} → ${index.collection}` : `${topic} (not indexed)`,
  );
  console.say();
  console.say(`Serving. Pipelines: ${pipelines.join(", ")}.`);
  console.say(
    `  publish   curl -s '${url}/topics/${[...composition.pipelines.values()][0]?.topic}/events' -H 'content-type: application/x-ndjson' -d '{"text": "hello", "attributes": {"type": "test"}}'`,
  );
  console.say(`  describe  ${url}/openapi.json    metrics  ${url}/metrics    stop  Ctrl-C`);
}

/** Resolves when a signal came and all is closed. A second signal ends at once: what was not settled comes again. */
function closeOnSignal(host: LocalHost, stopping: AbortController, console: Console): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      if (stopping.signal.aborted) process.exit(130);
      stopping.abort();
      console.say("Stopping: storing and settling what is held.");
      host.close().then(() => {
        console.say("Stopped.");
        resolve();
      }, reject);
    };
    process.on("SIGINT", stop);
    process.on("SIGTERM", stop);
  });
}

function explain(error: unknown): string {
  if (error instanceof PersistorError) return error.message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
