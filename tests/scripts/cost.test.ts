import { describe, expect, it } from "vitest";
import { billedShare, meanWait, roundedUp, timeOf } from "../../scripts/cost/function-time.ts";
import { INPUTS, type Inputs } from "../../scripts/cost/inputs.ts";
import { costOf, dollarsOf } from "../../scripts/cost/model.ts";
import { dollarsFor, PRICES } from "../../scripts/cost/prices.ts";
import { drainsOf } from "../../scripts/cost/pull-time.ts";

/** Round numbers, so that the expected values can be reckoned by hand. */
const ROUND: Inputs = {
  messagesPerSecond: 100,
  payloadBytes: 1_900,
  attributeBytes: 64,
  pathsPerBatch: 1,
  measured: {
    date: "",
    pushCpuSeconds: 100e-6,
    objectCpuSeconds: 1e-3,
    pullMessagesPerSecond: 10_000,
    indexCpuSeconds: 50e-6,
    storedBytesPerObject: 1_000,
    storedBytesPerMessage: 200,
    indexBytesPerMessage: 500,
  },
  instance: { vcpu: 1, memoryGib: 0.5, concurrency: 1_000, targetShare: 0.5, billedStepSeconds: 0.1 },
  latency: { putSeconds: 0.05, publishSeconds: 0.05, indexWriteSeconds: 0.05 },
  groupCommit: { maxWaitSeconds: 0.2, maxMessages: 5_000 },
  indexCommit: { maxWaitSeconds: 0.1, maxMessageBytes: 100_000 },
  pull: { everySeconds: 300, budgetSeconds: 200, batchWaitSeconds: 2, openSeconds: 1 },
};

const at = (messagesPerSecond: number, change: Partial<Inputs> = {}): Inputs => ({ ...ROUND, ...change, messagesPerSecond });

describe("the price list", () => {
  it("tells of each price its unit, its region, the provider's page, and when that said so, or that its date is unknown", () => {
    for (const price of Object.values(PRICES)) {
      expect(price.dollars).toBeGreaterThan(0);
      expect(price.unit).not.toBe("");
      expect(price.region).toMatch(/^(us-central1|any)$/);
      expect(price.page).toMatch(/^https:\/\/cloud\.google\.com\/\w+\/pricing$/);
      expect(price.seen).toMatch(/20\d\d|undated/);
    }
  });

  it("comes to what Google's own examples come to", () => {
    // https://cloud.google.com/storage/pricing-examples: 50 GB for a month, 10,000 and 50,000 operations.
    expect(dollarsFor("storedGibHour", 50 * 730)).toBeCloseTo(1, 3);
    expect(dollarsFor("classAOperation", 10_000)).toBeCloseTo(0.05, 9);
    expect(dollarsFor("classBOperation", 50_000)).toBeCloseTo(0.02, 9);
  });

  it("prices each part of a usage in its own unit", () => {
    const dollars = dollarsOf({
      requests: 1e6,
      vcpuSeconds: 1e6,
      gibSeconds: 1e6,
      classAOperations: 1e6,
      storedGibHours: 730,
      deliveryTib: 1,
      indexTopicTib: 2,
      schedulerJobMonths: 1,
    });
    expect(dollars).toEqual({
      requests: expect.closeTo(0.4, 6),
      vcpuSeconds: expect.closeTo(24, 6),
      gibSeconds: expect.closeTo(2.5, 6),
      classAOperations: expect.closeTo(5, 6),
      storedGibHours: expect.closeTo(0.02, 4),
      deliveryTib: 40,
      indexTopicTib: 80,
      schedulerJobMonths: 0.1,
    });
  });
});

describe("a function's time", () => {
  it("is billed in whole steps", () => {
    expect(roundedUp(0.101, 0.1)).toBeCloseTo(0.2);
    expect(roundedUp(0.3, 0.1)).toBeCloseTo(0.3);
  });

  it("is billed once for requests that overlap, and not between them", () => {
    expect(billedShare(0.001, 0, 0.06, 0.1)).toBeCloseTo(0.0001, 6);
    expect(billedShare(10, 0, 0.06, 0.1)).toBeCloseTo(1 - Math.exp(-1), 9);
    // A batch is billed for 0.3 s and the next begins after 0.25 s and, in the mean, 0.1 s more.
    expect(billedShare(10, 0.25, 0.05, 0.1)).toBeCloseTo(1 - (Math.exp(-0.5) * 0.1) / 0.35, 9);
    expect(billedShare(10_000, 0.2, 0.05, 0.1)).toBeCloseTo(1, 9);
  });

  it("waits a sixteenth where each request stays alone, and in full where company is sure", () => {
    expect(meanWait(0.000_001, 0.16)).toBeCloseTo(0.01, 5);
    expect(meanWait(1_000_000, 0.16)).toBe(0.16);
    expect(meanWait(100, 0)).toBe(0);
  });

  it("spreads over more instances where CPU or requests at once pass their share of one", () => {
    const work = { requestsPerSecond: 1_000, maxWaitSeconds: 0.2, flushSeconds: 0.1, maxRequests: 5_000 };
    expect(timeOf({ ...work, cpuShare: 0.1 }, ROUND.instance).instances).toBe(1);
    expect(timeOf({ ...work, cpuShare: 1.2 }, ROUND.instance).instances).toBe(3);
    expect(timeOf({ ...work, cpuShare: 0.1 }, { ...ROUND.instance, concurrency: 100 }).instances).toBe(4);
  });

  it("joins no more requests than one instance holds at once", () => {
    const work = { requestsPerSecond: 1_000, maxWaitSeconds: 10, flushSeconds: 0.1, maxRequests: 5_000, cpuShare: 0 };
    expect(timeOf(work, { ...ROUND.instance, targetShare: 100 }).requestsPerBatch).toBeCloseTo(1_000, 6);
  });
});

describe("the cost of push", () => {
  it("is what the formulas come to by hand", () => {
    // One instance, always billed, joins 1 + 1,000 × 0.2 messages.
    const { messagesPerObject, usage, dollars, total } = costOf("push", false, at(1_000));
    expect(messagesPerObject).toBeCloseTo(201, 3);
    expect(usage.requests).toBe(1e6);
    expect(usage.vcpuSeconds).toBeCloseTo(1_000, 3);
    expect(usage.gibSeconds).toBeCloseTo(500, 3);
    expect(usage.classAOperations).toBeCloseTo(1e6 / 201, 0);
    expect(usage.storedGibHours).toBeCloseTo(((200e6 + 1_000 * (1e6 / 201)) / 2 ** 30) * 730, 1);
    expect(usage.deliveryTib).toBeCloseTo(2_000e6 / 2 ** 40, 9);
    expect(dollars).toMatchObject({
      requests: expect.closeTo(0.4, 9),
      vcpuSeconds: expect.closeTo(0.024, 5),
      deliveryTib: expect.closeTo(0.0728, 4),
    });
    expect(total).toBeCloseTo(0.4 + 0.024 + 0.00125 + 0.02488 + 0.00382 + 0.07276, 3);
  });

  it("falls as more messages go into one object", () => {
    const totals = [1, 10, 100, 1_000, 5_000].map((rate) => costOf("push", true, at(rate)).total);
    expect(totals).toEqual([...totals].sort((a, b) => b - a));
    expect(new Set(totals).size).toBe(totals.length);
    const longer = { groupCommit: { maxWaitSeconds: 0.4, maxMessages: 5_000 } };
    expect(costOf("push", false, at(100, longer)).total).toBeLessThan(costOf("push", false, at(100)).total);
  });

  it("rises with the paths that a batch is cut into, up to an object for each message", () => {
    const objects = (pathsPerBatch: number) => costOf("push", false, at(1_000, { pathsPerBatch })).usage.classAOperations;
    expect(objects(3)).toBeCloseTo(3 * objects(1), 3);
    expect(objects(1_000_000)).toBe(1e6);
  });
});

describe("the cost of pull", () => {
  it("is what the formulas come to by hand where the subscription is soon empty", () => {
    // 0.01 messages/s: 3 in a round; a drain opens, takes them and ends after an empty wait of 2 s.
    const { usage } = costOf("pull", false, at(0.01));
    expect(usage.requests).toBeCloseTo(1e6 / 3, 0);
    expect(usage.vcpuSeconds).toBeCloseTo((1e6 / 3) * 3.1, 0);
    expect(usage.schedulerJobMonths).toBeCloseTo(1e6 / (0.01 * 730 * 3600), 6);
  });

  it("ends with its backlog and one more batch where messages keep coming, and not before its time where they fill batches by themselves", () => {
    const { drains, drainSeconds, batches } = drainsOf(at(100));
    expect(drains).toBe(1);
    // A second to open, some three for the 30,000 that waited, two for the last batch.
    expect(drainSeconds).toBeGreaterThan(5);
    expect(drainSeconds).toBeLessThan(8);
    expect(batches).toBeCloseTo(6 + 1, 5);
    expect(drainsOf(at(5_000)).drainSeconds).toBe(at(5_000).pull.budgetSeconds);
  });

  it("fills objects where much comes, and takes as many drains at once as keep up", () => {
    expect(costOf("pull", false, at(5_000)).messagesPerObject).toBeCloseTo(5_000, -2);
    expect(drainsOf(at(5_000)).drains).toBe(1);
    expect(drainsOf(at(20_000)).drains).toBe(4);
  });
});

describe("the cost of a function without batches", () => {
  it("is mostly class A operations: five dollars for a million", () => {
    const { dollars, total } = costOf("unbatched", false, at(1_000));
    expect(dollars.classAOperations).toBeCloseTo(5, 9);
    expect(dollars.classAOperations / total).toBeGreaterThan(0.8);
  });

  it("is many times that of push and pull where messages come at a hundred a second", () => {
    const unbatched = costOf("unbatched", true, INPUTS).total;
    expect(unbatched / costOf("push", true, INPUTS).total).toBeGreaterThan(3);
    expect(unbatched / costOf("pull", true, INPUTS).total).toBeGreaterThan(3);
  });
});

describe("the cost of the index", () => {
  it("is nothing where indexing is off", () => {
    for (const way of ["push", "pull", "unbatched"] as const) expect(costOf(way, false, ROUND).dollars.indexTopicTib).toBe(0);
  });

  it("counts every byte that is published and delivered, in as few messages as the limit allows", () => {
    // 201 records of 500 bytes are two index messages, each with its envelope of 36 bytes; both ways.
    const { usage } = costOf("push", true, at(1_000));
    expect(usage.requests).toBeCloseTo(1e6 + 2 * (1e6 / 201), 0);
    expect(usage.indexTopicTib).toBeCloseTo((2 * (1e6 / 201) * (201 * 500 + 2 * 36)) / 2 ** 40, 7);
  });

  it("counts a request of a small record as a thousand bytes", () => {
    const alone = { groupCommit: { maxWaitSeconds: 0, maxMessages: 1 } };
    expect(costOf("push", true, at(10, alone)).usage.indexTopicTib).toBeCloseTo((2 * 1_000 * 1e6) / 2 ** 40, 9);
    expect(costOf("push", true, at(10, { payloadBytes: 1, attributeBytes: 0 })).usage.deliveryTib).toBeCloseTo(1e9 / 2 ** 40, 9);
  });
});
