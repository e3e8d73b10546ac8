import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { HostLog } from "./host-log.ts";
import { type HostKeys, keyOf } from "./http/keys.ts";
import type { HttpHandler } from "./http/trigger.ts";

/** What the app answers; undefined where it does not run. */
export interface WebApp {
  http: HttpHandler;
  eventGrid: HttpHandler;
  /** Starts a timer function once; false where there is none of that name. */
  runNow(functionName: string): boolean;
  /** The functions, and what became of their invocations. */
  describe(): readonly object[];
}

export interface WebServer {
  readonly url: string;
  serve(app: WebApp): void;
  /** Takes no further connection, and resolves when the present requests are answered. */
  close(): Promise<void>;
  closeNow(): void;
}

const WEBHOOK = /^\/runtime\/webhooks\/eventgrid\/?$/i;
const ADMIN_FUNCTION = /^\/admin\/functions\/([^/]+)\/?$/i;
const ADMIN_FUNCTIONS = /^\/admin\/functions\/?$/i;
const ADMIN_STATUS = /^\/admin\/host\/status\/?$/i;

/** The host's HTTP server, on 127.0.0.1: the app's functions, Event Grid's webhook, and of the admin API `POST /admin/functions/{name}`, `GET /admin/functions` and `GET /admin/host/status`. */
export async function startWebServer(port: number, keys: HostKeys, log: HostLog): Promise<WebServer> {
  let app: WebApp | undefined;
  let isClosing = false;
  const server = createServer((request, response) => {
    // A connection that becomes idle later would keep a closing server open.
    response.on("close", () => isClosing && setImmediate(() => server.closeIdleConnections()));
    const url = new URL(request.url ?? "/", `http://${request.headers.host ?? "localhost"}`);
    respond(app, keys, request, response, url).catch((error: Error) => {
      log.write("error", "Host", `Answering ${request.method} ${url.pathname}: ${error.stack}`);
      if (!response.headersSent) response.writeHead(500).end();
      else response.destroy();
    });
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    serve(served) {
      app = served;
    },
    async close() {
      if (!server.listening) return;
      isClosing = true;
      server.close();
      await once(server, "close");
    },
    closeNow() {
      server.close();
      server.closeAllConnections();
    },
  };
}

async function respond(
  app: WebApp | undefined,
  keys: HostKeys,
  request: IncomingMessage,
  response: ServerResponse,
  url: URL,
): Promise<void> {
  const key = keyOf(request, url.searchParams);
  if (url.pathname.toLowerCase().startsWith("/admin/") && key !== keys.master) return void response.writeHead(401).end();
  if (ADMIN_STATUS.test(url.pathname)) return answerJson(response, { state: app ? "Running" : "Error" });
  if (ADMIN_FUNCTIONS.test(url.pathname)) return answerJson(response, app?.describe() ?? []);
  if (!app) return void response.writeHead(503, { "content-type": "text/plain" }).end("Function host is not running.");
  if (WEBHOOK.test(url.pathname)) {
    if (key !== keys.eventGrid && key !== keys.master) return void response.writeHead(401).end();
    return app.eventGrid(request, response, url);
  }
  const [, name] = ADMIN_FUNCTION.exec(url.pathname) ?? [];
  if (name !== undefined && request.method === "POST") {
    return void response.writeHead(app.runNow(decodeURIComponent(name)) ? 202 : 404).end();
  }
  return app.http(request, response, url);
}

function answerJson(response: ServerResponse, body: unknown): void {
  response.writeHead(200, { "content-type": "application/json; charset=utf-8" }).end(JSON.stringify(body));
}
