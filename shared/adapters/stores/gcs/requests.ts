import { AsyncLocalStorage } from "node:async_hooks";
import { subscribe } from "node:diagnostics_channel";
import type { Agent, ClientRequest } from "node:http";
import type { Socket } from "node:net";

/*
 * The SDK hands out neither its HTTP requests nor its agents, and its transport ignores time limits: a server that takes a request
 * and never answers would hold a caller, and its batch, for ever. Node tells of each request as it is made; those made within `watch`
 * are ours.
 */

/** The HTTP requests that one store makes through the SDK. */
export interface Requests {
  /** Runs `work`; a request in it that moves no byte for the time allowed fails with the code `ETIMEDOUT`. */
  watch<T>(work: () => Promise<T>): Promise<T>;
  /** Ends the connections that no request uses. */
  endIdle(): void;
}

type OnRequest = (request: ClientRequest) => void;

const current = new AsyncLocalStorage<OnRequest>();
let isSubscribed = false;

/** `idleTimeoutMs`: how long a request may move no byte in either direction. */
export function watchRequests(idleTimeoutMs: number): Requests {
  subscribeOnce();
  const sockets = new Map<Socket, Agent>();
  const onRequest: OnRequest = (request) => {
    request.setTimeout(idleTimeoutMs, () => {
      request.destroy(Object.assign(new Error(`no byte moved for ${idleTimeoutMs} ms`), { code: "ETIMEDOUT" }));
    });
    const { agent } = request as ClientRequest & { agent?: Agent };
    if (!agent) return;
    request.once("socket", (socket) => {
      if (!sockets.has(socket)) socket.once("close", () => sockets.delete(socket));
      sockets.set(socket, agent);
    });
  };
  return {
    watch: (work) => current.run(onRequest, work),
    endIdle() {
      // The agent is the whole process's: another store may be using a connection.
      for (const [socket, agent] of sockets) if (isFree(agent, socket)) socket.destroy();
    },
  };
}

function subscribeOnce(): void {
  if (isSubscribed) return;
  isSubscribed = true;
  subscribe("http.client.request.created", (message) => current.getStore()?.((message as { request: ClientRequest }).request));
}

function isFree(agent: Agent, socket: Socket): boolean {
  return Object.values(agent.freeSockets).some((free) => free?.includes(socket));
}
