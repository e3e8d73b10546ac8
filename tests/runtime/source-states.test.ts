import { describe, expect, it } from "vitest";
import { BrokerError } from "../../shared/core/errors.ts";
import { type LogFields, NO_LOG } from "../../shared/core/ports/log.ts";
import { createSourceStates } from "../../shared/runtime/source-states.ts";
import { fakeClock } from "../fixtures/fake-clock.ts";

const away = (text = "brokers are away; look after them") => new BrokerError("broker_unavailable", text, { retryable: true });

describe("a source that cannot be read", () => {
  const open = () => {
    const clock = fakeClock();
    const lines: [event: string, fields: LogFields | undefined][] = [];
    const note = (event: string, fields?: LogFields) => void lines.push([event, fields]);
    const states = createSourceStates(clock, { ...NO_LOG, warn: note, error: note });
    return { states, lines, clock };
  };

  it("is logged once a minute with its reason, and at once with another", async () => {
    const { states, lines, clock } = open();
    const orders = states.of("orders");
    for (let i = 0; i < 130; i++) {
      orders.failed(away());
      await clock.advance(1_000);
    }
    expect(lines).toHaveLength(3);
    expect(lines[0]).toEqual(["pulling a batch failed", { source: "orders", error: "brokers are away; look after them" }]);
    orders.failed(away("the password is wrong"));
    expect(lines).toHaveLength(4);
  });

  it("is told with its reason until it can be read again, which is logged too", () => {
    const { states, lines } = open();
    const [orders] = [states.of("orders"), states.of("clicks")];
    expect([...states.failures()]).toEqual([
      ["orders", undefined],
      ["clicks", undefined],
    ]);
    orders.failed(away());
    expect(states.failures().get("orders")?.message).toMatch(/brokers are away/);
    orders.succeeded();
    orders.succeeded();
    expect(states.failures().get("orders")).toBeUndefined();
    expect(lines.map(([event]) => event)).toEqual(["pulling a batch failed", "a source can be read again"]);
    orders.failed(away());
    expect(lines).toHaveLength(3);
  });
});
