import type { IncomingMessage, ServerResponse } from "node:http";
import { jsonOf, reparsed, toJson } from "./dotnet.ts";
import type { Executor, TriggerInput } from "./executor.ts";
import type { HostLog } from "./host-log.ts";
import type { HttpHandler } from "./http/trigger.ts";
import type { FunctionMetadata } from "./rpc.ts";
import type { Worker } from "./worker-process.ts";

export interface EventGridFunction {
  fn: FunctionMetadata;
  bindingName: string;
  isMany: boolean;
  isText: boolean;
}

export interface EventGridOptions {
  functions: readonly EventGridFunction[];
  executor: Executor;
  log: HostLog;
  nextWorker(): Worker;
}

type Event = Readonly<Record<string, unknown>>;

/**
 * The webhook `/runtime/webhooks/eventgrid?functionName=` (azure-sdk-for-net Microsoft.Azure.WebJobs.Extensions.EventGrid,
 * HttpRequestProcessor and EventGridExtensionConfigProvider): what a request is says its header `aeg-event-type`.
 */
export function createEventGridTrigger({ functions, executor, log, nextWorker }: EventGridOptions): HttpHandler {
  return async (request, response, url) => {
    const name = url.searchParams.get("functionName") ?? "";
    const target = functions.find(({ fn }) => fn.name === name);
    if (!target) return void response.writeHead(404).end(`cannot find function: '${name}'`);
    const type = String(request.headers["aeg-event-type"] ?? "").toLowerCase();
    if (type === "subscriptionvalidation") {
      log.write("information", "EventGrid", `perform handshake with eventGrid for function: ${name}`);
      return validate(response, await bodyOf(request));
    }
    if (type === "unsubscribe") return void response.writeHead(202).end();
    if (type !== "notification") return void response.writeHead(400).end();
    const events = [await bodyOf(request)].flat() as Event[];
    await notify(target, events, executor, nextWorker, response);
  };
}

const bodyOf = async (request: IncomingMessage): Promise<unknown> =>
  reparsed(Buffer.concat(await Array.fromAsync(request as AsyncIterable<Buffer>)).toString());

/** Event Grid's schema sends an array; CloudEvents sends an object whose data is JSON in a string. */
function validate(response: ServerResponse, body: unknown): void {
  const event = (Array.isArray(body) ? body[0] : body) as { data: unknown };
  const data = (typeof event.data === "string" ? JSON.parse(event.data) : event.data) as { validationCode: string };
  response.writeHead(200, { "content-type": "text/plain; charset=utf-8" }).end(JSON.stringify({ validationResponse: data.validationCode }));
}

/** All events at once, each on its own where the cardinality is one; a single failure makes Event Grid send all of them again. */
async function notify(
  { fn, bindingName, isMany, isText }: EventGridFunction,
  events: readonly Event[],
  executor: Executor,
  nextWorker: () => Worker,
  response: ServerResponse,
): Promise<void> {
  const form = (value: unknown) => (isText ? { string: toJson(value) } : { json: toJson(value) });
  const inputs: TriggerInput[] = isMany
    ? [{ data: manyOf(events, isText), metadata: { data: jsonOf(events.map(({ data }) => data ?? null)) } }]
    : events.map((event) => ({ data: form(event), metadata: { data: jsonOf(event["data"]) } }));
  const results = await Promise.all(inputs.map((input) => executor.execute({ fn, bindingName, worker: nextWorker(), input: () => input })));
  const failed = results.find(({ succeeded }) => !succeeded);
  if (failed) response.writeHead(500).end(failed.error?.message);
  else response.writeHead(202).end();
}

const manyOf = (events: readonly Event[], isText: boolean) =>
  isText ? { collectionString: { string: events.map(toJson) } } : { json: toJson(events) };
