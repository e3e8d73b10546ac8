import { checkEncoding, hasBody, isJson, isNdjson, mediaType } from "./body.ts";
import { HttpError } from "./problem.ts";
import { unsupportedType } from "./validate.ts";

type Header = (name: string) => string | undefined;

/** Refuses a request by its headers: throws HttpError. */
export type HostGuard = (header: Header) => void;

export interface HostGuardOptions {
  /** The port that the server listens on; asked at each request, since port 0 is only known once it listens. */
  port: () => number;
  /** Further names that `Host` may hold, with or without a port: `persistor.internal`, `box:8080`. Without a port: any. */
  allowedHosts: readonly string[];
}

const LOOPBACK: readonly string[] = ["localhost", "127.0.0.1", "[::1]"];
const HTTP_PORT = 80;

/**
 * Keeps web pages away from a host that asks for no key. A page cannot choose the `Host` header, so a foreign one tells a name that was
 * pointed at this machine (DNS rebinding); `Origin` and `Sec-Fetch-Site` tell pages of other sites, and a form can send no JSON.
 */
export function createHostGuard({ port, allowedHosts }: HostGuardOptions): HostGuard {
  const allowed = new Set(allowedHosts.map((host) => host.toLowerCase()));
  const isOurs = (host: string) => {
    const { name, portText } = hostParts(host);
    if (allowed.has(host) || allowed.has(name)) return true;
    return LOOPBACK.includes(name) && Number(portText || HTTP_PORT) === port();
  };
  return (header) => {
    const host = header("host")?.toLowerCase() ?? "";
    if (!isOurs(host))
      throw refused(
        `the Host header ${JSON.stringify(host.slice(0, 100))} is not of this host; add it to PERSISTOR_ALLOWED_HOSTS if it should be`,
      );
    const origin = header("origin")?.toLowerCase();
    if (origin !== undefined && origin !== `http://${host}` && origin !== `https://${host}`)
      throw refused("web pages of other sites may not call this host");
    if (header("sec-fetch-site") === "cross-site") throw refused("web pages of other sites may not call this host");
    checkBody(header);
  };
}

function hostParts(host: string): { name: string; portText: string } {
  const [, name, portText = ""] = /^(\[[^\]]*\]|[^:]*)(?::(\d*))?$/.exec(host) ?? [];
  return { name: name ?? "", portText };
}

function checkBody(header: Header): void {
  if (!hasBody(header)) return;
  const type = mediaType(header("content-type"));
  if (!isJson(type) && !isNdjson(type)) throw unsupportedType(type, "application/json, or application/x-ndjson where the call takes it");
  checkEncoding(header);
}

function refused(detail: string): HttpError {
  return new HttpError(403, detail);
}
