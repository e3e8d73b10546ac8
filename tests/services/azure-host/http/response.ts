import type { ServerResponse } from "node:http";
import type { RpcHttpCookie, RpcInvocationResponse, RpcTypedData } from "../rpc.ts";

/** Headers that Kestrel writes itself. */
const OWN_HEADERS = new Set(["transfer-encoding", "content-length", "connection"]);

/** Writes what a function returned (azure-functions-host RawScriptResult); nothing returned is 200 without a body (FunctionInvocationMiddleware). */
export function writeResponse(response: ServerResponse, { returnValue }: RpcInvocationResponse): void {
  const http = returnValue?.http;
  if (!http) return void response.writeHead(200).end();
  for (const [name, value] of Object.entries(http.headers ?? {})) {
    if (!OWN_HEADERS.has(name.toLowerCase())) response.setHeader(name, value);
  }
  const cookies = (http.cookies ?? []).map(setCookie);
  if (cookies.length > 0) response.appendHeader("set-cookie", cookies);
  response.writeHead(Number(http.statusCode ?? 200)).end(bodyOf(http.body));
}

function bodyOf(body: RpcTypedData | undefined): Uint8Array | undefined {
  const content = body?.bytes ?? body?.string ?? body?.json;
  return content === undefined ? undefined : Buffer.from(content as Uint8Array);
}

const SAME_SITE = { strict: "strict", lax: "lax", explicitNone: "none", none: undefined };

/** ASP.NET's IResponseCookies.Append, which percent-encodes values. */
function setCookie({ name, value, domain, path, expires, secure, httpOnly, sameSite = "none", maxAge }: RpcHttpCookie): string {
  const site = SAME_SITE[sameSite];
  return [
    `${encodeURIComponent(name)}=${encodeURIComponent(value)}`,
    expires && `expires=${new Date(expires.value.seconds * 1000).toUTCString()}`,
    maxAge && `max-age=${maxAge.value}`,
    domain && `domain=${domain.value}`,
    `path=${path?.value ?? "/"}`,
    secure?.value && "secure",
    site && `samesite=${site}`,
    httpOnly?.value && "httponly",
  ]
    .filter((part) => part)
    .join("; ");
}
