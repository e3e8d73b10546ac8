import { existsSync } from "node:fs";
import { answers, freePort, type Service, startService } from "./child.ts";
import { FAKE_GCS, isOnPath } from "./programs.ts";

/** A Cloud Storage server. */
export interface FakeGcs extends Service {
  /** Base URL, as for `STORAGE_EMULATOR_HOST`. */
  url: string;
}

/** Why the server cannot run here; undefined where it can. */
export function fakeGcsMissing(): string | undefined {
  if (existsSync(FAKE_GCS)) return undefined;
  return isOnPath("go") ? "fake-gcs-server could not be fetched by go" : "fake-gcs-server needs go on PATH, once, to be fetched";
}

/** Starts the server on a free port, or on `port`; it keeps objects in memory, or in `folder`. */
export async function startFakeGcs({ port, folder }: { port?: number; folder?: string } = {}): Promise<FakeGcs> {
  const at = String(port ?? (await freePort()));
  const url = `http://127.0.0.1:${at}`;
  const backend = folder === undefined ? ["-backend", "memory"] : ["-backend", "filesystem", "-filesystem-root", folder];
  const service = await startService({
    name: "fake-gcs-server",
    command: FAKE_GCS,
    args: [
      "-scheme",
      "http",
      "-host",
      "127.0.0.1",
      "-port",
      at,
      "-external-url",
      url,
      "-public-host",
      `127.0.0.1:${at}`,
      "-event.list",
      "",
      "-log-level",
      "error",
      ...backend,
    ],
    isReady: () => answers(`${url}/_internal/healthcheck`),
  });
  return { ...service, url };
}
