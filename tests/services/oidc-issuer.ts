import { createHmac, createPublicKey, type KeyObject, randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { type CryptoKey, exportJWK, generateKeyPair, type JWTPayload, SignJWT } from "jose";

export interface TokenOptions {
  /** Default `RS256`. `none` and `HS256` are made by hand; `HS256` signs with the text of the issuer's public RSA key. */
  algorithm?: "RS256" | "ES256" | "none" | "HS256";
  /** `stranger`: by a key that the issuer never had, under the id of its own. Default `issuer`. */
  signedBy?: "issuer" | "stranger";
}

/** An issuer of OpenID Connect tokens on loopback: a discovery document, its public keys, and tokens of any content. */
export interface OidcIssuer {
  /** Its name and address, as in `iss`: stays the same over outages. */
  readonly url: string;
  readonly jwksUri: string;
  /** A token of these claims; `iss`, `sub`, `iat` and `exp` (in an hour) are filled in, and left out where they are given as undefined. */
  token(claims?: JWTPayload, options?: TokenOptions): Promise<string>;
  /** Requests so far, by path. */
  requests(): Readonly<Record<string, number>>;
  /** Takes new keys, and forgets those that it had. */
  rotate(): Promise<void>;
  /** What its discovery document says instead. */
  describeAs(change: Readonly<Record<string, unknown>>): void;
  /** Answers nothing any more, until `start`. */
  stop(): Promise<void>;
  start(): Promise<void>;
}

interface SigningKey {
  kid: string;
  privateKey: CryptoKey;
  publicKey: CryptoKey;
}

const DISCOVERY_PATH = "/.well-known/openid-configuration";
const JWKS_PATH = "/keys";

/** Starts an issuer on a free port; `path` stands in its name, as Entra ID's have the tenant. */
export async function startOidcIssuer({ path = "" }: { path?: string } = {}): Promise<OidcIssuer> {
  let keys = await makeKeys();
  const strangers = await makeKeys();
  const requests: Record<string, number> = {};
  let change: Readonly<Record<string, unknown>> = {};
  let server: Server | undefined;
  let port = 0;
  const documents: Record<string, () => unknown> = {
    [path + DISCOVERY_PATH]: () => ({ issuer: url(), jwks_uri: `${url()}${JWKS_PATH}`, ...change }),
    [path + JWKS_PATH]: async () => ({ keys: await Promise.all(Object.entries(keys).map(publicJwk)) }),
  };
  const url = () => `http://127.0.0.1:${port}${path}`;
  const start = async () => {
    server = createServer(async ({ url: asked = "" }, response) => {
      requests[asked] = (requests[asked] ?? 0) + 1;
      const document = await documents[asked]?.();
      response.writeHead(document ? 200 : 404, { "content-type": "application/json" }).end(JSON.stringify(document ?? {}));
    }).listen(port, "127.0.0.1");
    await once(server, "listening");
    port = (server.address() as AddressInfo).port;
  };
  await start();
  return {
    url: url(),
    jwksUri: `${url()}${JWKS_PATH}`,
    token: (claims, options) => tokenOf({ iss: url(), ...defaultClaims(), ...claims }, keys, strangers, options),
    requests: () => ({ ...requests }),
    async rotate() {
      keys = await makeKeys();
    },
    describeAs(changed) {
      change = changed;
    },
    start,
    async stop() {
      if (!server?.listening) return;
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}

type Keys = Record<"RS256" | "ES256", SigningKey>;

async function makeKeys(): Promise<Keys> {
  const [RS256, ES256] = await Promise.all(
    ["RS256", "ES256"].map(async (algorithm) => ({ kid: randomUUID(), ...(await generateKeyPair(algorithm, { extractable: true })) })),
  );
  return { RS256, ES256 } as Keys;
}

const publicJwk = async ([alg, { kid, publicKey }]: [string, SigningKey]) => ({ ...(await exportJWK(publicKey)), kid, alg, use: "sig" });

const defaultClaims = () => {
  const nowS = Math.floor(Date.now() / 1000);
  return { sub: "somebody", iat: nowS, exp: nowS + 3600 };
};

async function tokenOf(claims: JWTPayload, keys: Keys, strangers: Keys, options: TokenOptions = {}): Promise<string> {
  const { algorithm = "RS256", signedBy = "issuer" } = options;
  if (algorithm === "RS256" || algorithm === "ES256") {
    // A stranger's key goes under the id of the issuer's: only the signature tells them apart.
    const { privateKey } = (signedBy === "issuer" ? keys : strangers)[algorithm];
    return new SignJWT(claims).setProtectedHeader({ alg: algorithm, kid: keys[algorithm].kid, typ: "JWT" }).sign(privateKey);
  }
  const content = [{ alg: algorithm, kid: keys.RS256.kid, typ: "JWT" }, claims].map(encoded).join(".");
  if (algorithm === "none") return `${content}.`;
  return `${content}.${createHmac("sha256", await publicPem(keys.RS256))
    .update(content)
    .digest("base64url")}`;
}

const encoded = (part: unknown) => Buffer.from(JSON.stringify(part)).toString("base64url");

async function publicPem({ publicKey }: SigningKey): Promise<string> {
  const key: KeyObject = createPublicKey({ key: await exportJWK(publicKey), format: "jwk" });
  return key.export({ type: "spki", format: "pem" }) as string;
}
