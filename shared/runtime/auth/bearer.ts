import { HttpError } from "../http/problem.ts";

/** What stands behind `Bearer` in an `Authorization` header; undefined where the header is missing or of another scheme. */
export function bearerOf(authorization: string | undefined): string | undefined {
  return /^Bearer +(\S+) *$/i.exec(authorization ?? "")?.[1];
}

/** 401 with the challenge that RFC 6750 asks for; `fault`: what is wrong with what was shown, where something was. */
export function unauthorized(detail: string, fault?: "invalid_token"): HttpError {
  const challenge = `Bearer realm="persistor"${fault === undefined ? "" : `, error="${fault}"`}`;
  return new HttpError(401, detail, { headers: { "www-authenticate": challenge } });
}
