import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { digestOf } from "../../shared/core/digest.ts";
import { stringAttribute } from "../../shared/core/message.ts";
import { INDEXER_SUBSCRIPTION } from "../../shared/runtime/index-topics.ts";
import { messageOf } from "../contract/support-messages.ts";
import { describeWhere } from "../contract/support-ports.ts";
import { type AzureCloud, azureCloudMissing, startAzureCloud } from "../services/azure-cloud.ts";
import { ensureBundles } from "../services/bundles.ts";
import { call, countOf, pipelineOf, stored, until } from "./support-azure.ts";
import { proxiedStorage, QUICK } from "./support-azure-brokers.ts";

const COLLECTION = "storage-events";
const FUNCTION = `persist-${COLLECTION}`;
const ACCOUNT = "/subscriptions/1/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/lake";
const AT = "2026-03-04T05:06:07.25Z";

/** A blob event in Event Grid's schema. */
const blobCreated = (id: string, more: object = {}) => ({
  id,
  topic: ACCOUNT,
  subject: `/blobServices/default/containers/raw/blobs/${id}.json`,
  eventType: "Microsoft.Storage.BlobCreated",
  eventTime: AT,
  data: {
    api: "PutBlob",
    contentLength: 524_288,
    url: `https://lake.blob.core.windows.net/raw/${id}.json`,
    storageDiagnostics: { batchId: "ü" },
  },
  dataVersion: "",
  metadataVersion: "1",
  ...more,
});

/** The same in CloudEvents. */
const cloudEvent = (id: string, more: object = {}) => ({
  specversion: "1.0",
  id,
  source: ACCOUNT,
  type: "Microsoft.Storage.BlobCreated",
  subject: `blobs/${id}`,
  time: AT,
  data: { contentLength: 1 },
  ...more,
});

describeWhere(azureCloudMissing(), "the function app on Event Grid", () => {
  const storage = proxiedStorage();
  let cloud: AzureCloud;
  let events = 0;

  beforeAll(async () => {
    await ensureBundles();
    cloud = await startAzureCloud({
      pipelines: { [COLLECTION]: pipelineOf({ broker: "event-grid", topic: COLLECTION }, COLLECTION) },
      environment: QUICK,
      ...storage.option,
    });
  }, 180_000);
  afterEach(() => storage.allow());
  afterAll(async () => {
    await cloud?.stop();
    await storage.close();
  });

  const send = (type: string, body: unknown, key = cloud.host.keys.eventGrid) =>
    fetch(`${cloud.host.url}/runtime/webhooks/EventGrid?functionName=${FUNCTION}&code=${key}`, {
      method: "POST",
      headers: { "aeg-event-type": type, "content-type": "application/json" },
      body: JSON.stringify(body),
    });
  const notify = async (body: unknown): Promise<number> => (await send("Notification", body)).status;
  const newId = () => `event-${++events}`;
  const folder = `raw/${COLLECTION}/`;
  const idOf = (id: string, source = ACCOUNT) => `${COLLECTION}_${source}#${id}`;
  const storedAs = async (id: string) => {
    const [found] = (await stored(cloud, folder)).filter((each) => each.id === id);
    if (!found) throw new Error(`looking for ${id}: it is not stored`);
    return found;
  };
  /** Records of these events, whatever their source. */
  const recordsOf = async (...ids: string[]) => {
    const { body } = await call(cloud, "POST", `/api/indexer/query/${COLLECTION}?limit=100`, {
      filters: [{ "additional_metadata.id": { $in: ids } }],
    });
    return body.messages as { unique_id: string }[];
  };
  const indexedAs = async (...uniqueIds: string[]) => {
    const { body } = await call(cloud, "POST", `/api/indexer/query/${COLLECTION}?limit=100`, {
      filters: [{ unique_id: { $in: uniqueIds } }],
    });
    return body.messages.length === uniqueIds.length;
  };

  const nothingWaits = () =>
    until("the indexer to be through", async () => {
      const { active, locked } = await cloud.serviceBus.counts(`persistor-index/Subscriptions/${INDEXER_SUBSCRIPTION}`);
      return active + locked === 0;
    });

  test("answers the handshake of both schemas, to whoever has the key alone", async () => {
    const grid = await send("SubscriptionValidation", [{ ...blobCreated("v"), data: { validationCode: "code-1" } }]);
    expect([grid.status, await grid.json()]).toEqual([200, { validationResponse: "code-1" }]);
    const cloudEvents = await send("SubscriptionValidation", cloudEvent("v", { data: JSON.stringify({ validationCode: "code-2" }) }));
    expect([cloudEvents.status, await cloudEvents.json()]).toEqual([200, { validationResponse: "code-2" }]);
    expect((await send("SubscriptionValidation", [blobCreated("v")], "guess")).status).toBe(401);
    expect((await send("Notification", [blobCreated("v")], "guess")).status).toBe(401);
    expect(await countOf(cloud, COLLECTION)).toBe(0);
  });

  test("stores each event of an array in Event Grid's schema: its data as payload, its source and id as identity, the rest as attributes", async () => {
    const [one, two] = [blobCreated(newId()), blobCreated(newId())];
    expect(await notify([one, two])).toBe(202);
    for (const event of [one, two]) {
      const { message, digest } = await storedAs(idOf(event.id));
      const wanted = messageOf(JSON.stringify(event.data), {
        contentType: "application/json",
        attributes: [
          stringAttribute("id", event.id),
          stringAttribute("topic", ACCOUNT),
          stringAttribute("subject", event.subject),
          stringAttribute("eventType", event.eventType),
          stringAttribute("eventTime", AT),
          stringAttribute("dataVersion", ""),
          stringAttribute("metadataVersion", "1"),
        ],
      });
      expect(digest).toBe(digestOf(wanted).toString("hex"));
      expect(message).toMatchObject({ topic: COLLECTION, publishTimeUs: Date.parse(AT) * 1000, sequence: -1n });
      await until(`the record of ${event.id}`, () => indexedAs(idOf(event.id)));
      const [record] = await recordsOf(event.id);
      expect(record).toMatchObject({ broker_id: COLLECTION, additional_metadata: { eventType: event.eventType, subject: event.subject } });
    }
  });

  test("stores CloudEvents, alone and in arrays, with attributes of their own and data that is text, bytes or missing", async () => {
    const cases: [more: object, payload: string, contentType: string][] = [
      [{}, '{"contentLength":1}', "application/json"],
      [{ data: 'plain, not "JSON"', datacontenttype: "text/plain" }, 'plain, not "JSON"', "text/plain"],
      [{ data: "a JSON string", datacontenttype: "application/json" }, '"a JSON string"', "application/json"],
      [
        { data: undefined, data_base64: Buffer.from("00ff80", "hex").toString("base64"), datacontenttype: "application/x" },
        "\0\xff\x80",
        "application/x",
      ],
      [{ data: undefined }, "", "application/json"],
      [{ data: null }, "null", "application/json"],
      [{ data: [1, "2", null], traceparent: "00-ab-cd-01", sequence: 7, dataschema: "https://schema" }, '[1,"2",null]', "application/json"],
    ];
    const sent = cases.map(([more]) => cloudEvent(newId(), more));
    expect(await notify(sent[0])).toBe(202);
    expect(await notify(sent.slice(1))).toBe(202);
    for (const [i, [, payload, contentType]] of cases.entries()) {
      const { message } = await storedAs(idOf(sent[i]?.id as string));
      expect([Buffer.from(message.payload).toString("latin1"), message.contentType]).toEqual([payload, contentType]);
    }
    const { message } = await storedAs(idOf(sent.at(-1)?.id as string));
    expect(Object.fromEntries(message.attributes.map(({ name, value }) => [name, value]))).toEqual({
      ...{ id: sent.at(-1)?.id, source: ACCOUNT, subject: sent.at(-1)?.subject, type: "Microsoft.Storage.BlobCreated", specversion: "1.0" },
      ...{ time: AT, traceparent: "00-ab-cd-01", sequence: "7", dataschema: "https://schema" },
    });
  });

  test("keeps a redelivered event as one index record, and events of one id from two sources apart", async () => {
    const event = blobCreated(newId());
    expect(await Promise.all([notify([event]), notify([event]), notify([event])])).toEqual([202, 202, 202]);
    expect(await notify([event, { ...event, topic: "/another" }])).toBe(202);
    const ids = [idOf(event.id), idOf(event.id, "/another")];
    await until("the records of both", () => indexedAs(...ids));
    await nothingWaits();
    expect((await recordsOf(event.id)).map(({ unique_id }) => unique_id).sort()).toEqual(ids.sort());
  });

  test("keeps an event of the same source and id with other content beside the first", async () => {
    const event = blobCreated(newId());
    expect(await notify([event])).toBe(202);
    await until("the record of the first", () => indexedAs(idOf(event.id)));
    expect(await notify([{ ...event, data: { changed: true } }])).toBe(202);
    await until("both records", async () => (await recordsOf(event.id)).length === 2);
    expect((await recordsOf(event.id)).map(({ unique_id }) => unique_id).sort()).toEqual([
      idOf(event.id),
      expect.stringMatching(new RegExp(`#${event.id}#[0-9a-f]{16}$`)),
    ]);
  });

  test("answers 5xx while storage refuses, so that Event Grid sends the events again; that does no harm", async () => {
    const sent = Array.from({ length: 20 }, () => blobCreated(newId()));
    const ids = sent.map(({ id }) => id);
    storage.refuse();
    expect(await Promise.all([notify(sent), notify(sent.slice(0, 5))])).toEqual([500, 500]);
    expect(await recordsOf(...ids)).toEqual([]);
    storage.allow();
    expect(await notify(sent)).toBe(202);
    expect(await notify(sent.slice(5))).toBe(202);
    await until("the records of all", async () => (await recordsOf(...ids)).length >= sent.length);
    await nothingWaits();
    expect((await recordsOf(...ids)).map(({ unique_id }) => unique_id).sort()).toEqual(ids.map((id) => idOf(id)).sort());
    expect(await countOf(cloud, "dead-letter")).toBe(0);
  }, 120_000);
});
