import { afterEach, expect, it, vi } from "vitest";
import { givenOrOwnServiceBus, type ServiceBusServer, startServiceBusServer } from "../service-bus-server.ts";
import { NotOfGivenServiceBus } from "./given.ts";

const NAMESPACE = "Endpoint=sb://persistor.servicebus.windows.net/;SharedAccessKeyName=key;SharedAccessKey=c2VjcmV0";
const started: ServiceBusServer[] = [];

afterEach(async () => {
  vi.unstubAllEnvs();
  for (const server of started.splice(0)) await server.stop();
});

it("suites use the namespace that is given by the settings, and are told what it cannot do", async () => {
  vi.stubEnv("PERSISTOR_TEST_SERVICE_BUS", NAMESPACE);
  const server = await givenOrOwnServiceBus();
  expect([server.kind, server.connectionString, server.host]).toEqual(["given", NAMESPACE, "persistor.servicebus.windows.net"]);
  await expect(server.counts("orders")).rejects.toThrow(NotOfGivenServiceBus);
  await expect(server.injectFault({ kind: "delay-answers", ms: 1 })).rejects.toThrow(/injectFault.*PERSISTOR_TEST_SERVICE_BUS/);
  await expect(server.createQueue("orders", { maxMessages: 1 })).rejects.toThrow(/maxMessages/);
  expect(() => server.pid).toThrow(NotOfGivenServiceBus);
});

it("suites use a server of their own where none is given, on the port and with the key that they want", async () => {
  vi.stubEnv("PERSISTOR_TEST_SERVICE_BUS", "");
  const first = await givenOrOwnServiceBus();
  started.push(first);
  await first.stop();
  const server = await startServiceBusServer({ port: first.port, keyName: "mine", key: "c2VjcmV0" });
  started.push(server);
  expect([server.kind, server.port]).toEqual(["own", first.port]);
  expect(server.connectionString).toBe(
    `Endpoint=sb://127.0.0.1:${first.port};SharedAccessKeyName=mine;SharedAccessKey=c2VjcmV0;UseDevelopmentEmulator=true`,
  );
  expect(server.pid).toBeGreaterThan(0);
});
