import { spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CODECS, encodeObject } from "../../shared/core/avro/object-file.ts";
import { binaryAttribute, longAttribute, nullAttribute, stringAttribute } from "../../shared/core/message.ts";
import { stored } from "../fixtures/avro/records.ts";
import { message } from "../fixtures/messages.ts";

/** Prints every record as a line of JSON, bytes in base64; leaves with 3 and the reason where a part of the reader is missing. */
const READER = `
import base64, json, sys
try:
    import fastavro
except ImportError:
    sys.exit(print("Python has no fastavro (pip install fastavro)") or 3)
def plain(value):
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value.isoformat() if hasattr(value, "isoformat") else value
try:
    with open(sys.argv[1], "rb") as file:
        for record in fastavro.reader(file):
            print(json.dumps(plain(record)))
except ValueError as error:
    if "need to install" not in str(error):
        raise
    sys.exit(print(error) or 3)
`;

describe("an object read by fastavro", () => {
  let folder = "";

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "persistor-avro-"));
  });

  afterAll(() => rm(folder, { recursive: true, force: true }));

  it.for(CODECS)("holds every message as it was written (codec %s)", async (codec, context) => {
    const records = Array.from({ length: 300 }, (_, number) =>
      stored(
        message(number, {
          sequence: 2n ** 63n - 1n - BigInt(number),
          payload: number % 3 === 0 ? Buffer.alloc(0) : Buffer.alloc(number * 20, `payload ${number} ☃ `),
          key: number % 2 === 0 ? null : Buffer.from([0, 255, number % 256]),
          attributes: [
            stringAttribute("größe", `😀${"ä".repeat(number)}`),
            stringAttribute("__proto__", "kept"),
            binaryAttribute("binary", Buffer.from([0, 1, 255])),
            nullAttribute("nothing"),
            stringAttribute("a", "1"),
            stringAttribute("a", "2"),
          ],
          system: [longAttribute("ttl", 60_000n)],
        }),
      ),
    );
    const { pieces } = await encodeObject(records, { codec, syncSeed: "seed", blockBytes: 20_000 });
    const path = join(folder, `${codec}.avro`);
    await writeFile(path, pieces);

    const python = spawnSync("python3", ["-c", READER, path], { encoding: "utf8", maxBuffer: 64 * 1024 * 1024 });
    const missing =
      python.error !== undefined
        ? `python3 cannot be run (${python.error.message})`
        : python.status === 3
          ? python.stdout.trim()
          : undefined;
    if (missing !== undefined && process.env.REQUIRE_SERVICES !== "1") context.skip(missing);
    expect(missing).toBeUndefined();
    expect(python.stderr).toBe("");

    const rows = python.stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(rows.length).toBe(records.length);
    for (const [i, { message: written, digest }] of records.entries()) {
      const base64 = (bytes: Uint8Array) => ({ base64: Buffer.from(bytes).toString("base64") });
      expect(rows[i]).toMatchObject({
        ID: written.brokerMessageId,
        Data: base64(written.payload),
        Metadata: { größe: written.attributes[0]?.value },
        broker_id: "orders",
        pipeline: "orders",
        has_key: written.key !== null,
        key: base64(written.key ?? new Uint8Array(0)),
        digest: base64(digest),
        properties: [
          { name: "__proto__", kind: "string", value: base64(Buffer.from("kept")), position: 1 },
          { name: "binary", kind: "binary", value: base64(Buffer.from([0, 1, 255])), position: 2 },
          { name: "nothing", kind: "null", value: base64(Buffer.alloc(0)), position: 3 },
          { name: "a", kind: "string", value: base64(Buffer.from("1")), position: 4 },
          { name: "a", kind: "string", value: base64(Buffer.from("2")), position: 5 },
        ],
        system: [{ name: "ttl", kind: "long", value: base64(Buffer.from([0, 0, 0, 0, 0, 0, 0xea, 0x60])) }],
      });
    }
    expect(rows.map(({ publish_time }) => Date.parse(publish_time) * 1000)).toEqual(
      records.map(({ message: { publishTimeUs } }) => publishTimeUs),
    );
    expect(python.stdout).toContain(`"sequence": ${2n ** 63n - 1n}`);
  });
});
