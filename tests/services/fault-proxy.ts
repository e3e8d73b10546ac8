import { once } from "node:events";
import { Agent, createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** What goes wrong, until told otherwise. */
export type Fault = FaultKind & {
  /** Requests that it befalls; default: all. */
  times?: number;
  /** Which requests it befalls; default: any. */
  matches?(request: { method: string; url: string }): boolean;
};

type FaultKind =
  /** Answers by itself; `body` may be a function of the request's headers. */
  | { kind: "answer"; status: number; headers?: Readonly<Record<string, string>>; body?: string | ((headers: Headers) => string) }
  /** Cuts the connection; the target never hears of the request. */
  | { kind: "cut before" }
  /** Cuts the connection once the target has answered: what was asked is done, and the answer is lost. */
  | { kind: "cut after" }
  /** Cuts the connection when half of the answer's body has passed. */
  | { kind: "cut within" }
  /** Holds the request back, then forwards it. */
  | { kind: "delay"; delayMs: number };

type Headers = IncomingMessage["headers"];

/** An HTTP proxy before one server, which fails on demand. */
export interface FaultProxy {
  readonly url: string;
  /** Requests that came so far, those that failed included. */
  readonly requests: number;
  /** Connections that are open now. */
  readonly connections: number;
  /** Sets what goes wrong from now on; null: nothing. */
  fail(fault: Fault | null): void;
  close(): Promise<void>;
}

/** Starts a proxy before `targetUrl` on a free port. */
export async function startFaultProxy(targetUrl: string): Promise<FaultProxy> {
  const agent = new Agent({ keepAlive: true });
  const ended = new AbortController();
  const connections = new Set<Socket>();
  let fault: Fault | null = null;
  let requests = 0;

  const faultFor = ({ method = "", url = "" }: IncomingMessage): Fault | undefined => {
    if (!fault || fault.matches?.({ method, url }) === false || fault.times === 0) return undefined;
    if (fault.times !== undefined) fault.times--;
    return fault;
  };
  const server = createServer((incoming, outgoing) => {
    requests++;
    handle({ targetUrl, agent, ended: ended.signal }, incoming, outgoing, faultFor(incoming)).catch(() => incoming.socket.destroy());
  });
  server.on("connection", (socket) => {
    connections.add(socket);
    socket.once("close", () => connections.delete(socket));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get requests() {
      return requests;
    },
    get connections() {
      return connections.size;
    },
    fail(next) {
      fault = next && { ...next };
    },
    async close() {
      ended.abort();
      server.close();
      server.closeAllConnections();
      agent.destroy();
      if (server.listening) await once(server, "close");
    },
  };
}

interface Target {
  targetUrl: string;
  agent: Agent;
  ended: AbortSignal;
}

async function handle(target: Target, incoming: IncomingMessage, outgoing: ServerResponse, fault: Fault | undefined): Promise<void> {
  if (fault?.kind === "cut before") {
    incoming.socket.destroy();
    return;
  }
  if (fault?.kind === "answer") {
    // Taken in whole first: a client that is still sending would see a cut, not the answer.
    await bodyOf(incoming);
    const { status, headers, body = "" } = fault;
    outgoing.writeHead(status, { ...headers }).end(typeof body === "string" ? body : body(incoming.headers));
    return;
  }
  if (fault?.kind === "delay") await sleep(fault.delayMs, undefined, { signal: target.ended });
  const answer = await forward(target, incoming);
  if (fault?.kind === "cut after") {
    await bodyOf(answer);
    incoming.socket.destroy();
    return;
  }
  outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
  if (fault?.kind !== "cut within") {
    answer.pipe(outgoing);
    return;
  }
  const body = await bodyOf(answer);
  outgoing.write(body.subarray(0, Math.ceil(body.length / 2)), () => incoming.socket.destroy());
}

/** The target sees its own name as host, and the URL as it came. */
async function forward({ targetUrl, agent }: Target, incoming: IncomingMessage): Promise<IncomingMessage> {
  const { hostname, port, host } = new URL(targetUrl);
  const outgoing = request({
    agent,
    hostname,
    port,
    method: incoming.method,
    path: incoming.url,
    headers: { ...incoming.headers, host },
  });
  incoming.pipe(outgoing);
  incoming.on("close", () => incoming.complete || outgoing.destroy());
  const [answer] = (await once(outgoing, "response")) as [IncomingMessage];
  return answer;
}

async function bodyOf(message: IncomingMessage): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(message as AsyncIterable<Buffer>));
}
