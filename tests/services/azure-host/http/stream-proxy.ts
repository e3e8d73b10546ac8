import { request as httpRequest, type IncomingMessage, type ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";

export interface Forwarded {
  /** Resolves when the worker's answer is through; rejects where the worker ends before. */
  done: Promise<void>;
  abort(): void;
}

/**
 * Hands a request to the HTTP server that a worker with the capability HttpUri runs, and its answer back, both as streams
 * (azure-functions-host DefaultHttpProxyService). A function that throws has no answer: the worker writes none.
 */
export function forward(request: IncomingMessage, response: ServerResponse, httpUri: string, url: URL, invocationId: string): Forwarded {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const target = new URL(url.pathname + url.search, httpUri);
  const headers = {
    ...request.headers,
    "x-ms-invocation-id": invocationId,
    "x-forwarded-host": url.host,
    "x-forwarded-proto": url.protocol.slice(0, -1),
  };
  const outgoing = httpRequest(target, { method: request.method, headers }, (answer) => {
    response.writeHead(answer.statusCode ?? 502, withoutHopByHop(answer.headers));
    pipeline(answer, response).then(resolve, reject);
  });
  outgoing.on("error", reject);
  pipeline(request, outgoing).catch(reject);
  return { done: promise, abort: () => outgoing.destroy() };
}

const HOP_BY_HOP = ["connection", "keep-alive", "transfer-encoding", "x-ms-invocation-id"];

const withoutHopByHop = (headers: IncomingMessage["headers"]) =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => !HOP_BY_HOP.includes(name)));
