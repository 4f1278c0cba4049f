package twin;

import java.time.Duration;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;

/**
 * The benchmark's 20 audiences as a program with Kafka Streams: what somebody would write who has only this job.
 *
 * <p>It does: the same transitions (all fields but the id, whose hash is MD5, and the same times), exits by time at their own
 * instants, RocksDB with a changelog, exactly once if asked.
 *
 * <p>It doesn't: drop events with an id that came before, profile updates, dead letters, definitions while it runs (the
 * audiences are Java code, see Audiences), lookups over HTTP, exits on partitions whose stream time stands.
 *
 * <p>Arguments: bootstrap, events topic, transitions topic (it must exist), application id, folder for state, threads,
 * guarantee (at_least_once or exactly_once_v2), milliseconds between commits.
 */
public final class Twin {
    private static final Duration STOP = Duration.ofSeconds(20);
    private static final long CACHE_BYTES = 256L << 20;

    public static void main(String[] arguments) throws Exception {
        String events = arguments[1], transitions = arguments[2];
        KafkaStreams streams = new KafkaStreams(topology(events, transitions), settings(arguments));
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(STOP)));
        streams.start();
        Progress.tell(() -> streams.state() != KafkaStreams.State.ERROR);
        System.exit(1);
    }

    private static Topology topology(String events, String transitions) {
        Topology topology = new Topology();
        topology.addSource("events", events);
        topology.addProcessor("segments", Segments::new, "events");
        topology.addStateStore(store(Segments.ROWS), "segments");
        topology.addStateStore(store(Segments.TIMERS), "segments");
        topology.addSink("transitions", transitions, "segments");
        return topology;
    }

    private static StoreBuilder<KeyValueStore<Bytes, byte[]>> store(String name) {
        return Stores.keyValueStoreBuilder(
                        Stores.persistentKeyValueStore(name), Serdes.Bytes(), Serdes.ByteArray())
                .withCachingEnabled()
                .withLoggingEnabled(Map.of());
    }

    private static Properties settings(String[] arguments) {
        Properties set = new Properties();
        set.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, arguments[0]);
        set.put(StreamsConfig.APPLICATION_ID_CONFIG, arguments[3]);
        set.put(StreamsConfig.STATE_DIR_CONFIG, arguments[4]);
        set.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, arguments[5]);
        set.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, arguments[6]);
        set.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, arguments[7]);
        set.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        set.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.ByteArraySerde.class);
        set.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.ByteArraySerde.class);
        // Tuned for throughput: each of these was tried, and made it faster.
        set.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, CACHE_BYTES);
        set.put(StreamsConfig.BUFFERED_RECORDS_PER_PARTITION_CONFIG, 2000);
        set.put(StreamsConfig.ROCKSDB_CONFIG_SETTER_CLASS_CONFIG, SharedMemory.class);
        set.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
        set.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 4000);
        set.put(StreamsConfig.producerPrefix(ProducerConfig.LINGER_MS_CONFIG), 100);
        set.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), 512 * 1024);
        set.put(StreamsConfig.producerPrefix(ProducerConfig.BUFFER_MEMORY_CONFIG), 64L << 20);
        return set;
    }
}
