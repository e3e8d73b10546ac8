import { describe, expect, it } from "vitest";
import { PersistorError } from "../../shared/core/errors.ts";
import { COUNTERS, GAUGES, HISTOGRAMS } from "../../shared/core/instruments.ts";
import { NO_LOG } from "../../shared/core/ports/log.ts";
import { invocation } from "../../shared/runtime/invocation.ts";
import { createLog } from "../../shared/runtime/log.ts";
import { createMetrics } from "../../shared/runtime/telemetry/metrics.ts";

const sampleOf = (text: string, line: string) => new RegExp(`^${RegExp.escape(line)} (.*)$`, "m").exec(text)?.[1];

describe("metrics", () => {
  it("keep what came before OpenTelemetry was loaded, and go on counting", async () => {
    const metrics = createMetrics();
    metrics.add("persistor.dead_letters", 2, { category: "too_large" });
    metrics.record("persistor.object.bytes", 2_000_000, { pipeline: "orders" });
    await metrics.render();
    metrics.add("persistor.dead_letters", 3, { category: "too_large" });
    metrics.add("persistor.dead_letters", 1, { category: "refused" });
    const text = await metrics.render();
    expect(sampleOf(text, 'persistor_dead_letters_total{category="too_large"}')).toBe("5");
    expect(sampleOf(text, 'persistor_dead_letters_total{category="refused"}')).toBe("1");
    expect(sampleOf(text, 'persistor_object_bytes_bucket{pipeline="orders",le="1000000"}')).toBe("0");
    expect(sampleOf(text, 'persistor_object_bytes_bucket{pipeline="orders",le="2500000"}')).toBe("1");
    expect(text).toContain("# HELP persistor_dead_letters_total Messages dead-lettered, by category.");
    await metrics.close();
  });

  it("tell of the process, and look gauges up at each scrape", async () => {
    const metrics = createMetrics();
    let backlog = 1;
    metrics.gauge("persistor.subscription.backlog", () => [{ value: backlog, attributes: { topic: "orders" } }]);
    const first = await metrics.render();
    backlog = 7;
    const second = await metrics.render();
    expect([first, second].map((text) => sampleOf(text, 'persistor_subscription_backlog{topic="orders"}'))).toEqual(["1", "7"]);
    expect(Number(sampleOf(second, "process_memory_usage"))).toBeGreaterThan(1e6);
    for (const name of ["process_cpu_time", "nodejs_eventloop_delay_p99", "nodejs_eventloop_utilization"]) expect(second).toContain(name);
    await metrics.close();
  });

  it("hold back no more than they can keep, and count what they drop", async () => {
    const metrics = createMetrics();
    for (let i = 0; i < 10_005; i++) metrics.add("persistor.messages.persisted", 1);
    const text = await metrics.render();
    expect(sampleOf(text, "persistor_messages_persisted_total")).toBe("10000");
    expect(sampleOf(text, "persistor_telemetry_dropped_total")).toBe("5");
    await metrics.close();
  });

  it("bound the sets of labels that they keep apart", async () => {
    const metrics = createMetrics();
    await metrics.render();
    for (let i = 0; i < 5000; i++) metrics.add("persistor.messages.persisted", 1, { pipeline: String(i) });
    const lines = (await metrics.render()).split("\n").filter((line) => line.startsWith("persistor_messages_persisted_total"));
    expect(lines.length).toBeLessThanOrEqual(2001);
    await metrics.close();
  });

  it("are named once each, and histograms have ascending buckets", () => {
    const names = [COUNTERS, HISTOGRAMS, GAUGES].flatMap((group) => Object.keys(group));
    expect(new Set(names).size).toBe(names.length);
    for (const { buckets } of Object.values(HISTOGRAMS)) expect([...buckets]).toEqual([...new Set(buckets)].sort((a, b) => a - b));
  });
});

describe("an invocation", () => {
  const lines: Record<string, unknown>[] = [];
  const log = createLog({ level: "info", stream: { write: (line) => void lines.push(JSON.parse(line)) } });
  const metrics = createMetrics();

  it("gives its function an id, a log that carries it, and measures it", async () => {
    const run = invocation("greet", async (name: string, { id, log: own }) => own.info("greeting") ?? `${id} ${name}`, {
      limitMs: null,
      log,
      metrics,
    });
    expect(await run("you", { id: "i-1" })).toBe("i-1 you");
    expect(lines.at(-1)).toMatchObject({ event: "greeting", function: "greet", id: "i-1" });
    expect(await metrics.render()).toContain('persistor_invocation_duration_count{function="greet",outcome="done"} 1');
  });

  it("logs and throws what its function throws, so that a trigger delivers again", async () => {
    const error = new PersistorError("store_unavailable", "writing: the disk is full", { retryable: true });
    const run = invocation("persist", async () => Promise.reject(error), { limitMs: null, log, metrics });
    await expect(run(undefined)).rejects.toBe(error);
    expect(lines.at(-1)).toMatchObject({ level: "error", function: "persist", error: { code: "store_unavailable", retryable: true } });
    expect(await metrics.render()).toContain('persistor_invocation_duration_count{function="persist",outcome="failed"} 1');
  });

  it("turns errors into results where it is told how", async () => {
    const run = invocation("query", async (): Promise<number> => Promise.reject(new Error("x")), {
      limitMs: null,
      log: NO_LOG,
      metrics,
      onError: () => 503,
    });
    expect(await run(undefined)).toBe(503);
  });

  it("aborts its signal when its time is over, and when the platform says so", async () => {
    const untilAborted = (_: unknown, { signal }: { signal: AbortSignal }) =>
      new Promise<string>((resolve) => signal.addEventListener("abort", () => resolve(String(signal.reason))));
    expect(await invocation("slow", untilAborted, { limitMs: 5, log: NO_LOG, metrics })(undefined)).toContain("its time of 5 ms is over");
    const outer = new AbortController();
    const run = invocation("slow", untilAborted, { limitMs: null, log: NO_LOG, metrics })(undefined, { signal: outer.signal });
    outer.abort("the host stops");
    expect(await run).toBe("the host stops");
  });
});

describe("the log", () => {
  const written = (write: (log: ReturnType<typeof createLog>) => void): Record<string, unknown>[] => {
    const lines: Record<string, unknown>[] = [];
    write(createLog({ level: "info", stream: { write: (line) => void lines.push(JSON.parse(line)) } }));
    return lines;
  };

  it("writes one JSON object for each event, with level and time", () => {
    const [line] = written((log) => log.child({ pipeline: "orders" }).warn("releasing a batch", { messages: 3 }));
    expect(line).toEqual({
      level: "warn",
      time: expect.stringMatching(/^\d{4}-.*Z$/),
      event: "releasing a batch",
      pipeline: "orders",
      messages: 3,
    });
  });

  it("writes errors with code, stack and causes", () => {
    const error = new PersistorError("object_missing", "reading x: gone", { cause: new Error("ENOENT") });
    const [line] = written((log) => log.error("failed", { error }));
    expect(line?.error).toMatchObject({
      type: "PersistorError",
      code: "object_missing",
      stack: expect.stringContaining("reading x"),
      cause: { message: "ENOENT" },
    });
    expect(written((log) => log.error("failed", { error: "text" }))[0]?.error).toBe("text");
  });

  it("writes no secret, by its name or by its look", () => {
    const key = `psk_ci_${"a".repeat(43)}`;
    const text = JSON.stringify(
      written((log) =>
        log.info("request", { authorization: "Bearer x1", headers: { "x-api-key": "x2", token: "x3" }, path: `/x?key=${key}` }),
      ),
    );
    for (const secret of ["x1", "x2", "x3", key]) expect(text).not.toContain(secret);
    expect(text).toContain("psk_ci_(secret)");
  });

  it("writes nothing below its level", () => {
    const lines: string[] = [];
    const log = createLog({ level: "warn", stream: { write: (line) => void lines.push(line) } });
    log.info("not this");
    log.warn("this");
    expect(lines).toHaveLength(1);
  });
});
