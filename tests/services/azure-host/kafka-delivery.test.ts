import { expect, onTestFinished, test } from "vitest";
import { describeWhere } from "../../contract/support-ports.ts";
import { kafkaBrokerMissing, startKafkaBroker } from "../kafka-broker.ts";
import { told, until } from "./support-app.ts";
import { kafkaSuite, MANY_BINARY, type SentRecord, texts } from "./support-kafka.ts";

describeWhere(kafkaBrokerMissing(), "a Kafka function's place in its topic", () => {
  const suite = kafkaSuite();

  test("gets batches of host.json's size at most, one at a time, and commits what it is done with", async () => {
    const topic = await suite.freshTopic();
    const setup = { topic, trigger: MANY_BINARY, body: "tell(input.length);", hostJson: { maxBatchSize: 2 } };
    const host = await suite.hostOf(setup);
    await suite.send(topic, texts("a", "b", "c", "d", "e"));
    await until(() => host.invocations()["run"]?.succeeded === 3, host.output);
    expect(told(host)).toEqual([2, 2, 1]);
    await host.terminate();
    await suite.send(topic, texts("f"));
    const next = await suite.hostOf({ ...setup, body: "tell(input);" });
    await until(() => told(next).length === 1, next.output);
    expect(told(next)).toEqual([[{ hex: "66" }]]);
  });

  test("loses what it fails with, by the default of commitOnFailure", async () => {
    const topic = await suite.freshTopic();
    const setup = { topic, trigger: MANY_BINARY, body: "tell(input.length); throw new Error('no');" };
    const host = await suite.hostOf(setup);
    await suite.send(topic, texts("a", "b"));
    await until(() => host.invocations()["run"]?.failed === 1, host.output);
    await host.terminate();
    await suite.send(topic, texts("c"));
    const next = await suite.hostOf({ ...setup, body: "tell(input);" });
    await until(() => told(next).length === 1, next.output);
    expect(told(next)).toEqual([[{ hex: "63" }]]);
  });

  test("gets a failed batch again with commitOnFailure false, maxRetries times, and loses it then", async () => {
    const topic = await suite.freshTopic();
    const host = await suite.hostOf({
      topic,
      trigger: MANY_BINARY,
      body: "tell(input[0].toString()); if (input[0].toString() === 'bad') throw new Error('no');",
      hostJson: { commitOnFailure: false, maxRetries: 2 },
    });
    await suite.send(topic, texts("bad"));
    await until(() => host.invocations()["run"]?.failed === 3, host.output);
    await suite.send(topic, texts("good"));
    await until(() => host.invocations()["run"]?.succeeded === 1, host.output);
    expect(told(host)).toEqual(["bad", "bad", "bad", "good"]);
    expect(host.output()).toContain("failed after 2 retries");
  });

  test("gets it again for ever with maxRetries -1, across killed workers and a host that went down", async () => {
    const topic = await suite.freshTopic();
    const setup = {
      topic,
      trigger: MANY_BINARY,
      body: "tell(input.length); await new Promise((resolve) => setTimeout(resolve, 50)); if (process.env.MUST_FAIL) throw new Error('no');",
      hostJson: { commitOnFailure: false, maxRetries: -1 },
    };
    const env = { BROKERS: suite.kafka.host, TOPIC: topic };
    const host = await suite.hostOf({ ...setup, options: { env: { ...env, MUST_FAIL: "1" } } });
    await suite.send(topic, texts("a", "b"));
    await until(() => (host.invocations()["run"]?.failed ?? 0) > 3, host.output);
    await host.killWorker();
    const failed = host.invocations()["run"]?.failed ?? 0;
    await until(() => (host.invocations()["run"]?.failed ?? 0) > failed + 3, host.output);
    await host.stop();
    const next = await suite.hostOf({ ...setup, options: { env } });
    await until(() => next.invocations()["run"]?.succeeded === 1, next.output);
    expect(told(next)).toEqual([2]);
  });

  test("shares a topic's partitions among instances", async () => {
    const topic = await suite.freshTopic(2);
    const host = await suite.hostOf({
      topic,
      trigger: MANY_BINARY,
      body: "tell([context.triggerMetadata.partitionArray, process.pid]);",
      options: { instances: 2 },
    });
    const pids = new Set([host.workerPid(0), host.workerPid(1)]);
    await until(async () => {
      await suite.send(topic, [...texts("a"), { ...(texts("b")[0] as SentRecord), partition: 1 }]);
      await new Promise((resolve) => setTimeout(resolve, 300));
      return new Set((told(host) as [number[], number][]).map(([, pid]) => pid)).size === 2;
    }, host.output);
    expect(new Set((told(host) as [number[], number][]).map(([, pid]) => pid))).toEqual(pids);
  });

  test("logs in by the protocol and the names of its binding", async () => {
    const secured = await startKafkaBroker({ security: { sasl: true } });
    onTestFinished(() => secured.stop());
    const [user] = secured.users;
    await secured.createTopic("secured");
    const host = await suite.hostOf({
      topic: "secured",
      trigger: `${MANY_BINARY}, protocol: "saslPlaintext", authenticationMode: "scramSha256", username: "%NAME%", password: "SECRET"`,
      body: "tell(input);",
      options: { env: { BROKERS: secured.sasl?.host ?? "", TOPIC: "secured", NAME: user?.name ?? "", SECRET: user?.password ?? "" } },
    });
    await suite.send("secured", texts("a"), secured.host);
    await until(() => told(host).length === 1, host.output);
  });
});
