import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";

export interface TokenServerOptions {
  /** Secrets of the clients by their ids. */
  clients: Readonly<Record<string, string>>;
  /** Makes a token for a client and what it asks for. */
  token(clientId: string, form: Readonly<Record<string, string>>): Promise<string>;
  expiresInS: number;
}

/** A server of OAuth's client credentials grant, on loopback. */
export interface TokenServer {
  /** Its token endpoint. */
  url: string;
  /** Requests so far. */
  asked(): number;
  lastForm(): Readonly<Record<string, string>>;
  stop(): Promise<void>;
}

export async function startTokenServer({ clients, token, expiresInS }: TokenServerOptions): Promise<TokenServer> {
  let asked = 0;
  let form: Record<string, string> = {};
  const server = createServer(async (request, response) => {
    asked++;
    form = Object.fromEntries(new URLSearchParams(await text(request)));
    const { client_id: id = "", client_secret: secret } = form;
    const isKnown = clients[id] !== undefined && clients[id] === secret;
    const answer = isKnown ? { access_token: await token(id, form), expires_in: expiresInS } : { error: "invalid_client" };
    response.writeHead(isKnown ? 200 : 401, { "content-type": "application/json" }).end(JSON.stringify(answer));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`,
    asked: () => asked,
    lastForm: () => form,
    async stop() {
      server.closeAllConnections();
      server.close();
    },
  };
}
