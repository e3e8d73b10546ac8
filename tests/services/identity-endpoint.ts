import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { SignJWT } from "jose";

/** What an App Service offers to the code that runs in it: tokens of its identities. */
export interface IdentityEndpoint {
  /** The variables by which that code finds it. */
  env: Readonly<Record<"IDENTITY_ENDPOINT" | "IDENTITY_HEADER", string>>;
  asked: { query: URLSearchParams; headers: IncomingHttpHeaders }[];
  /** The token that it gives for a resource, a URL. */
  tokenOf(resource: string): Promise<string>;
  /** What it answers from now on, in place of a token. */
  refuseWith(status: number | undefined): void;
  close(): Promise<void>;
}

/** One for all tests of a process: `@azure/identity` remembers where it is. */
export async function startIdentityEndpoint(): Promise<IdentityEndpoint> {
  const asked: IdentityEndpoint["asked"] = [];
  const tokens = new Map<string, Promise<string>>();
  const tokenOf = (resource: string): Promise<string> => {
    const token = tokens.get(resource) ?? makeToken(resource);
    tokens.set(resource, token);
    return token;
  };
  let refusal: number | undefined;
  const server = createServer(async (request, response) => {
    const query = new URL(request.url ?? "", "http://localhost").searchParams;
    asked.push({ query, headers: request.headers });
    response.writeHead(refusal ?? 200, { "content-type": "application/json" });
    if (refusal !== undefined) {
      response.end(JSON.stringify({ statusCode: refusal, message: "No User Assigned or Delegated Managed Identity found" }));
      return;
    }
    const resource = query.get("resource") ?? "";
    const expiresOn = Math.floor(Date.now() / 1000) + 3600;
    response.end(JSON.stringify({ access_token: await tokenOf(resource), expires_on: String(expiresOn), resource, token_type: "Bearer" }));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    env: { IDENTITY_ENDPOINT: `http://127.0.0.1:${port}/msi/token`, IDENTITY_HEADER: randomUUID() },
    asked,
    tokenOf,
    refuseWith(status) {
      refusal = status;
    },
    async close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

const TOKEN_KEY = new TextEncoder().encode("k".repeat(32));

function makeToken(audience: string): Promise<string> {
  return new SignJWT({})
    .setProtectedHeader({ alg: "HS256" })
    .setIssuer("https://sts.windows.net/test/")
    .setAudience(audience)
    .setIssuedAt()
    .setNotBefore("1m ago")
    .setExpirationTime("1h")
    .sign(TOKEN_KEY);
}
