import { createAppSettings } from "./app-settings.ts";
import { type BrokerServices, startBrokerListener } from "./brokers.ts";
import { createEventGridTrigger, type EventGridFunction } from "./event-grid.ts";
import type { Executor, InvocationCounts } from "./executor.ts";
import { eventGridFunctionOf, type FunctionDescription, httpFunctionOf, timerFunctionOf, triggerOf } from "./functions.ts";
import type { HostJson } from "./host-json.ts";
import type { HostLog } from "./host-log.ts";
import type { HostKeys } from "./http/keys.ts";
import { createHttpTrigger, type HttpFunction } from "./http/trigger.ts";
import type { Listener } from "./listener.ts";
import type { FunctionMetadata } from "./rpc.ts";
import { startTimer, type TimerListener } from "./timer.ts";
import type { WebApp } from "./web.ts";
import type { Worker } from "./worker-process.ts";

export interface AppContext extends BrokerServices {
  env: Readonly<Record<string, string>>;
  identityToken: string | undefined;
  hostJson: HostJson;
  log: HostLog;
  keys: HostKeys;
  workers: readonly Worker[];
  executor: Executor;
  timers: boolean;
  httpLimitMs: number;
}

export interface RunningApp {
  functions: readonly FunctionDescription[];
  /** Undefined where the app cannot run. */
  web: WebApp | undefined;
  stop(how: "drain" | "abort"): Promise<void>;
}

const NOT_INVOKED: InvocationCounts = { started: 0, succeeded: 0, failed: 0 };

/** What the app's functions are driven by. */
interface Triggers {
  functions: FunctionDescription[];
  http: HttpFunction[];
  eventGrid: EventGridFunction[];
  timers: Map<string, TimerListener>;
  listeners: Listener[];
}

/** Asks the worker for its functions and starts what drives them; a function whose trigger cannot start is left out, as in the host. */
export async function runApp(context: AppContext): Promise<RunningApp> {
  const { log, workers, executor, keys, httpLimitMs } = context;
  const triggers: Triggers = { functions: [], http: [], eventGrid: [], timers: new Map(), listeners: [] };
  const error = await loadFunctions(context, triggers);
  if (error) log.write("error", "Host", `A host error has occurred: ${error}`);
  if (!error && triggers.functions.length === 0) log.write("warning", "Host", "No job functions found. Does the entry point register any?");
  let turn = 0;
  const nextWorker = () => workers[turn++ % workers.length] as Worker;
  const web: WebApp = {
    http: createHttpTrigger({ functions: triggers.http, keys, executor, nextWorker, limitMs: httpLimitMs }),
    eventGrid: createEventGridTrigger({ functions: triggers.eventGrid, executor, log, nextWorker }),
    runNow(name) {
      const timer = triggers.timers.get(name);
      timer?.runNow();
      return timer !== undefined;
    },
    describe() {
      const counts = executor.counts();
      return triggers.functions.map((fn) => ({ ...fn, invocations: counts[fn.name] ?? NOT_INVOKED }));
    },
  };
  return {
    functions: triggers.functions,
    web: error ? undefined : web,
    async stop(how) {
      const timers = [...triggers.timers.values()].map((timer) => timer.stop());
      await Promise.all([...triggers.listeners.map((listener) => listener.stop(how)), ...(how === "drain" ? timers : [])]);
    },
  };
}

async function loadFunctions(context: AppContext, triggers: Triggers): Promise<string | undefined> {
  try {
    const apps = await Promise.all(context.workers.map((worker) => worker.started()));
    const app = apps[0];
    if (!app || app.error) return app?.error;
    for (const fn of app.functions) await startTrigger(context, fn, triggers);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

async function startTrigger(context: AppContext, fn: FunctionMetadata, triggers: Triggers): Promise<void> {
  const description: FunctionDescription = { name: fn.name, type: "" };
  triggers.functions.push(description);
  try {
    const binding = triggerOf(fn);
    description.type = binding.type;
    await start(context, fn, description, triggers);
  } catch (error) {
    description.error = (error as Error).message;
    context.log.write("error", "Host", `The '${fn.name}' function is in error: ${description.error}`);
  }
}

async function start(context: AppContext, fn: FunctionMetadata, description: FunctionDescription, triggers: Triggers): Promise<void> {
  const { env, hostJson, log, workers, executor } = context;
  const settings = createAppSettings(env, context.identityToken);
  const binding = triggerOf(fn);
  switch (binding.type) {
    case "httpTrigger": {
      const target = httpFunctionOf(fn, binding, settings, hostJson.extension("http").text("routePrefix", "api"));
      const { route, methods, authLevel } = target;
      Object.assign(description, { route, methods, authLevel });
      triggers.http.push(target);
      return;
    }
    case "timerTrigger": {
      const target = timerFunctionOf(fn, binding, settings);
      description.schedule = target.schedule;
      const [worker] = workers as readonly [Worker];
      triggers.timers.set(fn.name, startTimer({ target, executor, log, worker, isScheduled: context.timers }));
      return;
    }
    case "eventGridTrigger":
      triggers.eventGrid.push(eventGridFunctionOf(fn, binding));
      return;
    default:
      for (const [index, worker] of workers.entries()) {
        const instance = { index, count: workers.length };
        triggers.listeners.push(await startBrokerListener({ fn, binding, worker, instance, executor, hostJson, settings, log }, context));
      }
  }
}
