import { Agent, request } from "node:http";

/** What is counted where no answer came. */
export const NO_ANSWER = 0;

export interface PosterOptions {
  /** An `http:` URL. */
  endpoint: string;
  /** Connections at once. */
  concurrency: number;
  /** Milliseconds until an answer counts as missing. */
  answerWithinMs: number;
}

/** Posts JSON over connections that are kept. */
export interface Poster {
  /** Resolves to the answer's status, or to `NO_ANSWER`. Never throws. */
  post(body: string, token: string | undefined): Promise<number>;
  close(): void;
}

/** A poster to one endpoint. */
export function createPoster({ endpoint, concurrency, answerWithinMs }: PosterOptions): Poster {
  const agent = new Agent({ keepAlive: true, maxSockets: concurrency, maxFreeSockets: concurrency });
  const { hostname, port, pathname, search } = new URL(endpoint);
  const target = { host: hostname, port, path: pathname + search, method: "POST", agent, timeout: answerWithinMs };
  return {
    post: (body, token) =>
      new Promise((resolve) => {
        const headers: Record<string, string | number> = {
          "content-type": "application/json",
          "content-length": Buffer.byteLength(body),
          "user-agent": "CloudPubSub-Google",
        };
        if (token !== undefined) headers.authorization = `Bearer ${token}`;
        const asking = request({ ...target, headers }, (answer) => {
          answer
            .resume()
            .on("end", () => resolve(answer.statusCode ?? NO_ANSWER))
            .on("error", () => resolve(NO_ANSWER));
        });
        asking.on("timeout", () => asking.destroy()).on("error", () => resolve(NO_ANSWER));
        asking.end(body);
      }),
    close: () => agent.destroy(),
  };
}
