import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { freePort, type Service, startService } from "./child.ts";
import { isOnPath } from "./programs.ts";

const AZURITE = fileURLToPath(new URL("../../node_modules/azurite/dist/src/blob/main.js", import.meta.url));
const ACCOUNT = "persistortest";

export interface AzuriteOptions {
  /** Default: a free one. */
  port?: number;
  /** Where blobs are kept; default: in memory. */
  folder?: string;
  /** The account's key, for a restart; default: a new one. */
  key?: string;
  /** Serves https, and takes any token of Entra ID that has not expired. */
  certificate?: Certificate;
}

/** A blob service with one account. */
export interface Azurite extends Service {
  /** URL of the account's blobs. */
  url: string;
  /** URL of the server itself. */
  origin: string;
  account: string;
  key: string;
  connectionString: string;
  port: number;
}

/** Starts the server on loopback. */
export async function startAzurite(options: AzuriteOptions = {}): Promise<Azurite> {
  const port = options.port ?? (await freePort());
  const key = options.key ?? randomBytes(64).toString("base64");
  const { folder, certificate } = options;
  const origin = `${certificate ? "https" : "http"}://127.0.0.1:${port}`;
  const place = folder === undefined ? ["--inMemoryPersistence"] : ["--location", folder];
  const security = certificate ? ["--cert", certificate.certFile, "--key", certificate.keyFile, "--oauth", "basic"] : [];
  const service = await startService({
    name: "azurite",
    command: process.execPath,
    args: [
      AZURITE,
      ...["--blobHost", "127.0.0.1", "--blobPort", String(port)],
      ...place,
      ...security,
      ...["--silent", "--disableTelemetry", "--skipApiVersionCheck", "--disableProductStyleUrl"],
    ],
    env: { AZURITE_ACCOUNTS: `${ACCOUNT}:${key}` },
    isReady: () => listens(port),
  });
  const url = `${origin}/${ACCOUNT}`;
  return {
    ...service,
    url,
    origin,
    account: ACCOUNT,
    key,
    port,
    connectionString: connectionStringOf({ account: ACCOUNT, key, url }),
  };
}

/** A connection string with a key; `url` is that of the account's blobs, perhaps by a proxy. */
export function connectionStringOf({ account, key, url }: { account: string; key: string; url: string }): string {
  return `DefaultEndpointsProtocol=${new URL(url).protocol.slice(0, -1)};AccountName=${account};AccountKey=${key};BlobEndpoint=${url};`;
}

/** A certificate for 127.0.0.1, and for namespaces of Service Bus and Event Hubs, that nobody has signed but itself, and its key. */
export interface Certificate {
  certFile: string;
  keyFile: string;
  pem: string;
  remove(): void;
}

/** Why no certificate can be made here; undefined where one can. */
export function certificateMissing(): string | undefined {
  return isOnPath("openssl") ? undefined : "a certificate for https needs openssl on PATH";
}

export function makeCertificate(): Certificate {
  const folder = mkdtempSync(join(tmpdir(), "azurite-certificate-"));
  const certFile = join(folder, "cert.pem");
  const keyFile = join(folder, "key.pem");
  const subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1,DNS:*.servicebus.windows.net"];
  const kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
  execFileSync("openssl", ["req", ...kind, ...subject, "-keyout", keyFile, "-out", certFile], { stdio: "ignore" });
  return { certFile, keyFile, pem: readFileSync(certFile, "utf8"), remove: () => rmSync(folder, { recursive: true, force: true }) };
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
