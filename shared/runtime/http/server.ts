import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { createAdaptorServer } from "@hono/node-server";
import { errorText, PersistorError } from "../../core/errors.ts";

/** What answers requests: an app of `createApp`. */
export interface Served {
  fetch(request: Request, bindings: unknown): Response | Promise<Response>;
}

export interface ListenOptions {
  host: string;
  /** 0: any free port. */
  port: number;
}

export interface RunningServer {
  /** The port that it listens on. */
  port: number;
  /** Takes no more connections, lets what runs end within `deadlineMs`, then cuts it off. Returns false where something was cut. */
  close(deadlineMs: number): Promise<boolean>;
}

const HEADERS_TIMEOUT_MS = 30_000;
/** Room for a request in the header `x-persistor-request` beside all other headers. */
const MAX_HEADER_BYTES = 32_768;
const IDLE_SWEEP_MS = 50;

/** Serves `app` over HTTP. Throws PersistorError `settings_invalid` where the address cannot be listened on. */
export async function startServer(app: Served, { host, port }: ListenOptions): Promise<RunningServer> {
  const server = createAdaptorServer({
    fetch: (request, bindings) => app.fetch(request, bindings),
    // A bulk load may take as long as it takes, so only the headers have a time limit.
    serverOptions: { requestTimeout: 0, headersTimeout: HEADERS_TIMEOUT_MS, maxHeaderSize: MAX_HEADER_BYTES },
  }) as Server;
  await listening(server, host, port);
  return {
    port: (server.address() as AddressInfo).port,
    close: (deadlineMs) => closed(server, deadlineMs),
  };
}

function listening(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause) => {
      const remedy = "free it, or set PORT and HOST to another";
      reject(new PersistorError("settings_invalid", `listening on ${host}:${port}: ${errorText(cause)}; ${remedy}`, { cause }));
    });
    server.listen(port, host, resolve);
  });
}

function closed(server: Server, deadlineMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    let isWhole = true;
    const cut = setTimeout(() => {
      isWhole = false;
      server.closeAllConnections();
    }, deadlineMs);
    // A kept-alive connection becomes idle only once its answer is out.
    const sweep = setInterval(() => server.closeIdleConnections(), IDLE_SWEEP_MS);
    server.close(() => {
      clearTimeout(cut);
      clearInterval(sweep);
      resolve(isWhole);
    });
  });
}
