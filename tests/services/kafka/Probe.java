import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.Future;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.clients.producer.internals.BuiltInPartitioner;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.Headers;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Apache's own client, as a second opinion: every command prints a line of JSON per record, or per key. */
public class Probe {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final long FIRST_TIMESTAMP = 1_700_000_000_000L;
    private static final Duration NO_MORE = Duration.ofSeconds(15);

    public static void main(String[] args) throws Exception {
        List<String> rest = Arrays.asList(args).subList(1, args.length);
        switch (args[0]) {
            case "produce" -> produce(rest.get(0), rest.get(1), rest.get(2), Integer.parseInt(rest.get(3)));
            case "transactions" -> transactions(rest.get(0), rest.get(1), rest.subList(2, rest.size()));
            case "partition" -> partition(Integer.parseInt(rest.get(0)), rest.subList(1, rest.size()));
            case "consume" -> consume(rest.get(0), rest.get(1), Integer.parseInt(rest.get(2)));
            default -> throw new IllegalArgumentException("produce, transactions, partition or consume, not " + args[0]);
        }
    }

    /** Records of all kinds of keys, values and headers, whose timestamps are 1,001 ms apart. */
    private static void produce(String bootstrap, String topic, String compression, int count) throws Exception {
        List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        try (KafkaProducer<byte[], byte[]> producer = producer(bootstrap, Map.of("compression.type", compression, "linger.ms", "50"))) {
            for (int i = 0; i < count; i++) {
                ProducerRecord<byte[], byte[]> record = new ProducerRecord<>(topic, null, FIRST_TIMESTAMP + 1001L * i, key(i), value(i));
                if (i % 4 != 3) addHeaders(record.headers(), i);
                records.add(record);
                sent.add(producer.send(record));
            }
        }
        for (int i = 0; i < count; i++) print(fields(records.get(i), sent.get(i).get()));
    }

    /** Every 7th from the 4th has none, every 5th from the 5th is not text. */
    private static byte[] key(int i) {
        if (i % 7 == 3) return null;
        return i % 5 == 4 ? new byte[] {(byte) 0xff, 0, (byte) i} : utf8("key-" + i);
    }

    /** Every 10th from the 1st is null, every 10th from the 6th empty, every 10th from the 9th not text. */
    private static byte[] value(int i) {
        return switch (i % 10) {
            case 0 -> null;
            case 5 -> new byte[0];
            case 8 -> new byte[] {(byte) 0xc3, 0x28, 0, (byte) 0xff, (byte) i};
            default -> utf8("{\"n\":" + i + ",\"text\":\"žluťoučký kůň\"}");
        };
    }

    private static void addHeaders(Headers headers, int i) {
        headers.add("number", utf8(String.valueOf(i)));
        headers.add("tag", utf8("first"));
        headers.add("none", null);
        headers.add("empty", new byte[0]);
        headers.add("binary", new byte[] {(byte) 0xff, 0, (byte) 0xfe});
        headers.add("název", utf8("hodnota"));
        headers.add("tag", utf8("second"));
    }

    /** Committed c.., aborted a.. and at last open o.., of two producers; each record is there before the next is sent. */
    private static void transactions(String bootstrap, String topic, List<String> options) throws Exception {
        Transactional one = new Transactional(bootstrap, topic);
        Transactional two = new Transactional(bootstrap, topic);
        one.begin().send("c1", "c2", "c3").commit();
        one.begin().send("a1", "a2").abort();
        one.begin().send("c4", "c5").commit();
        two.begin();
        one.begin().send("a3");
        two.send("c6");
        one.send("a4");
        two.send("c7");
        one.abort();
        two.send("c8").commit();
        two.begin().send("c9");
        one.begin().send("a5");
        two.commit();
        one.send("a6").abort();
        one.begin().send("o1", "o2");
        two.begin().send("c10").commit();
        // An orderly end would abort it.
        if (options.contains("--leave-open")) Runtime.getRuntime().halt(0);
        one.abort();
    }

    /** One producer of transactions, who tells what it sent. */
    private static final class Transactional {
        private final KafkaProducer<byte[], byte[]> producer;
        private final String topic;

        Transactional(String bootstrap, String topic) {
            this.topic = topic;
            producer = producer(bootstrap, Map.of("transactional.id", "probe-" + UUID.randomUUID()));
            producer.initTransactions();
        }

        Transactional begin() {
            producer.beginTransaction();
            return this;
        }

        Transactional send(String... names) throws Exception {
            for (String name : names) {
                ProducerRecord<byte[], byte[]> record = new ProducerRecord<>(topic, utf8("key-" + name), utf8(name));
                print(fields(record, producer.send(record).get()));
            }
            return this;
        }

        void commit() {
            producer.commitTransaction();
        }

        void abort() {
            producer.abortTransaction();
        }
    }

    private static void partition(int partitions, List<String> keys) throws Exception {
        for (String key : keys) print(BuiltInPartitioner.partitionForKey(HexFormat.of().parseHex(key), partitions));
    }

    /** What is committed, from the beginning of every partition, until `count` records were seen. */
    private static void consume(String bootstrap, String topic, int count) throws Exception {
        Map<String, Object> settings = Map.of("bootstrap.servers", bootstrap, "isolation.level", "read_committed");
        ByteArrayDeserializer bytes = new ByteArrayDeserializer();
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(settings, bytes, bytes)) {
            List<TopicPartition> partitions = new ArrayList<>();
            for (PartitionInfo info : consumer.partitionsFor(topic)) partitions.add(new TopicPartition(topic, info.partition()));
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            for (int seen = 0; seen < count; ) {
                var records = consumer.poll(NO_MORE);
                if (records.isEmpty()) throw new IllegalStateException("consuming " + topic + ": " + seen + " records, not " + count);
                for (ConsumerRecord<byte[], byte[]> record : records) {
                    if (seen++ < count) print(fields(record));
                }
            }
        }
    }

    private static KafkaProducer<byte[], byte[]> producer(String bootstrap, Map<String, Object> further) {
        Map<String, Object> settings = new LinkedHashMap<>(further);
        settings.put("bootstrap.servers", bootstrap);
        return new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer());
    }

    private static Map<String, Object> fields(ProducerRecord<byte[], byte[]> record, RecordMetadata sent) {
        return fields(sent.partition(), sent.offset(), sent.timestamp(), record.key(), record.value(), record.headers());
    }

    private static Map<String, Object> fields(ConsumerRecord<byte[], byte[]> record) {
        Map<String, Object> fields =
            fields(record.partition(), record.offset(), record.timestamp(), record.key(), record.value(), record.headers());
        fields.put("timestampType", record.timestampType() == TimestampType.CREATE_TIME ? "create" : "append");
        return fields;
    }

    private static Map<String, Object> fields(int partition, long offset, long timestamp, byte[] key, byte[] value, Headers headers) {
        Map<String, Object> fields = new LinkedHashMap<>();
        fields.put("partition", partition);
        fields.put("offset", offset);
        fields.put("timestamp", timestamp);
        fields.put("key", hex(key));
        fields.put("value", hex(value));
        List<List<String>> pairs = new ArrayList<>();
        for (Header header : headers) pairs.add(Arrays.asList(header.key(), hex(header.value())));
        fields.put("headers", pairs);
        return fields;
    }

    private static String hex(byte[] bytes) {
        return bytes == null ? null : HexFormat.of().formatHex(bytes);
    }

    private static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static void print(Object value) throws Exception {
        System.out.write((JSON.writeValueAsString(value) + "\n").getBytes(StandardCharsets.UTF_8));
        System.out.flush();
    }
}
