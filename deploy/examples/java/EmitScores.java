// Emits a score for each id given as an argument and waits for the acknowledgements, by docs/contract.md.

import com.fasterxml.jackson.databind.ObjectMapper;
import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringSerializer;

public class EmitScores {
    private static final ObjectMapper JSON = new ObjectMapper();

    private static String setting(String name, String otherwise) {
        String value = System.getenv(name);
        return value == null || value.isEmpty() ? otherwise : value;
    }

    private static ProducerRecord<String, byte[]> record(String project, String id) throws Exception {
        Map<String, Object> score = new LinkedHashMap<>();
        score.put("score_id", id);
        score.put("project", project);
        score.put("name", "accuracy");
        score.put("value", 0.92);
        score.put("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736");
        score.put("timestamp", Instant.now().toString());
        score.put("source", "EVAL");
        score.put("evaluator", Map.of("name", "judge", "version", "7"));
        score.put("service", "example-java");
        score.put("schema_version", 1);
        String topic = setting("SCORELINE_TOPIC_PREFIX", "") + "scores.raw";
        return new ProducerRecord<>(topic, project + "/" + id, JSON.writeValueAsBytes(score));
    }

    public static void main(String[] arguments) throws Exception {
        System.setProperty("org.slf4j.simpleLogger.defaultLogLevel", "warn");
        List<String> ids = arguments.length > 0
                ? List.of(arguments)
                : List.of("example-java-1", "example-java-2", "example-java-3");
        Properties options = new Properties();
        options.put(ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, setting("SCORELINE_KAFKA", "localhost:9092"));
        options.put(ProducerConfig.KEY_SERIALIZER_CLASS_CONFIG, StringSerializer.class);
        options.put(ProducerConfig.VALUE_SERIALIZER_CLASS_CONFIG, ByteArraySerializer.class);
        // the partitioner stays the client's own, murmur2: the same id is on the same partition from every language
        options.put(ProducerConfig.ACKS_CONFIG, "all");
        options.put(ProducerConfig.ENABLE_IDEMPOTENCE_CONFIG, true);
        options.put(ProducerConfig.DELIVERY_TIMEOUT_MS_CONFIG, 30_000);
        options.put(ProducerConfig.REQUEST_TIMEOUT_MS_CONFIG, 10_000);
        options.put(ProducerConfig.MAX_BLOCK_MS_CONFIG, 10_000);

        String project = setting("SCORELINE_PROJECT", "default");
        try (KafkaProducer<String, byte[]> producer = new KafkaProducer<>(options)) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (String id : ids) {
                sent.add(producer.send(record(project, id)));
            }
            for (Future<RecordMetadata> acknowledged : sent) {
                acknowledged.get();
            }
        } catch (ExecutionException error) {
            System.err.println("not acknowledged: " + error.getCause().getMessage());
            System.exit(1);
        }
        System.out.println(ids.size() + " acknowledged");
    }
}
