import { createServer } from "node:http";
import { json } from "node:stream/consumers";

/** What can be asked of the server over HTTP: `POST /<name>` with the argument as JSON, answered by the result as JSON. */
export type Operations = Readonly<Record<string, (argument: never) => unknown>>;

/** Serves operations on a port of the loopback interface. What one throws is answered with 400 and its message. */
export function serveControl(port: number, operations: Operations): void {
  createServer(async (request, response) => {
    const answer = (status: number, body: unknown) =>
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body ?? null));
    const operation = operations[(request.url ?? "").slice(1)];
    if (!operation) return answer(404, { error: `there is no operation ${request.url}` });
    try {
      answer(200, await operation((request.method === "POST" ? await json(request) : {}) as never));
    } catch (error) {
      answer(400, { error: (error as Error).message });
    }
  }).listen(port, "127.0.0.1");
}
