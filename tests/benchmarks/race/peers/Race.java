import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.MapperFeature;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.databind.ObjectWriter;
import com.fasterxml.jackson.databind.cfg.CoercionAction;
import com.fasterxml.jackson.databind.cfg.CoercionInputShape;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.type.LogicalType;
import com.fasterxml.jackson.module.blackbird.BlackbirdModule;
import java.io.IOException;
import java.time.DateTimeException;
import java.time.Instant;
import java.time.OffsetDateTime;
import java.util.Map;
import java.util.Properties;
import java.util.regex.Pattern;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.processor.api.ContextualProcessor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/**
 * Kafka Streams, exactly_once_v2, one thread: a RocksDB store of the ids seen, with its changelog.
 *
 * <p>The rules are those of {@code scoreline.validation}, in Jackson and by hand where it has no means. Left out in its
 * favour: score configs and lookups, integers beyond 2^53, NUL characters in free text, what is deep or not finite inside
 * metadata, and telling a repeated id with other content from a repeated event. Repeated keys are looked for: it costs
 * nothing that could be measured.
 */
final class Race {
  enum DataType { NUMERIC, CATEGORICAL, BOOLEAN }

  enum Source { API, EVAL, ANNOTATION }

  enum Status { ok, failed }

  static final class Invalid extends RuntimeException {
    Invalid(String why) {
      super(why, null, false, false);
    }
  }

  record Evaluator(String name, String version, String model) {
    Evaluator {
      if (name == null) throw new Invalid("evaluator.name");
      checkName(name, "evaluator.name");
      checkName(version, "evaluator.version");
      checkName(model, "evaluator.model");
    }
  }

  record Score(
      @JsonProperty(required = true) String score_id,
      String project,
      @JsonProperty(required = true) String name,
      Object value,
      Status status,
      String error,
      DataType data_type,
      String trace_id,
      String observation_id,
      String session_id,
      String dataset_run_id,
      String comment,
      Map<String, Object> metadata,
      String config_id,
      String timestamp,
      Source source,
      Evaluator evaluator,
      String author,
      String service,
      String environment,
      String release,
      Integer schema_version) {
    Score {
      if (score_id == null || name == null) throw new Invalid("missing");
      project = project == null ? "default" : project;
      status = status == null ? Status.ok : status;
      source = source == null ? Source.API : source;
      schema_version = schema_version == null ? 1 : schema_version;
      if (schema_version != 1) throw new Invalid("schema_version");
      if (!isProject(project)) throw new Invalid("project");
      checkIdentifier(score_id, "score_id");
      checkIdentifier(trace_id, "trace_id");
      checkIdentifier(observation_id, "observation_id");
      checkIdentifier(session_id, "session_id");
      checkIdentifier(dataset_run_id, "dataset_run_id");
      checkIdentifier(config_id, "config_id");
      checkName(name, "name");
      checkName(author, "author");
      checkName(service, "service");
      checkName(environment, "environment");
      checkName(release, "release");
      if (error != null && (error.isEmpty() || error.length() > 10_000)) throw new Invalid("error");
      if ((value == null) == (status == Status.ok) || (error == null) == (status == Status.failed))
        throw new Invalid("a value exactly when the status is ok, an error exactly when it is failed");
      if (trace_id == null && (observation_id != null || (session_id == null && dataset_run_id == null)))
        throw new Invalid("no target");
    }
  }

  record Enriched(
      String score_id, String project, String name, Status status, String error, DataType data_type, Double value,
      String label, Double normalized, String config_id, Integer config_version, String target, String trace_id,
      String observation_id, String session_id, String dataset_run_id, String comment, Map<String, Object> metadata,
      Map<String, String> lookups, String timestamp, Source source, String evaluator_name, String evaluator_version,
      String evaluator_model, String author, String service, String environment, String release, int schema_version,
      String received_at, double delay_s, boolean late, int raw_partition, long raw_offset) {}

  record Judged(DataType type, Double value, String label) {}

  static final int BYTES_MAX = 256 * 1024;
  static final long EARLIEST_MS = 946_684_800_000L;
  static final long AHEAD_MAX_MS = 24 * 60 * 60 * 1000L;
  static final double LATE_AFTER_S = 3600;
  static final Pattern DECIMAL =
      Pattern.compile("[+-]?(?:[0-9]{1,400}(?:\\.[0-9]{0,400})?|\\.[0-9]{1,400})(?:[eE][+-]?[0-9]{1,4})?");
  static final JsonMapper MAPPER = mapper();
  static final ObjectReader READER = MAPPER.readerFor(Score.class);
  static final ObjectWriter WRITER = MAPPER.writerFor(Enriched.class);

  static JsonMapper mapper() {
    JsonMapper made =
        JsonMapper.builder(
                JsonFactory.builder().enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION).build())
            .addModule(new BlackbirdModule())
            .enable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES)
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
            .enable(DeserializationFeature.FAIL_ON_NUMBERS_FOR_ENUMS)
            .disable(MapperFeature.ALLOW_COERCION_OF_SCALARS)
            .serializationInclusion(JsonInclude.Include.ALWAYS)
            .build();
    made.coercionConfigFor(LogicalType.Textual)
        .setCoercion(CoercionInputShape.Integer, CoercionAction.Fail)
        .setCoercion(CoercionInputShape.Float, CoercionAction.Fail)
        .setCoercion(CoercionInputShape.Boolean, CoercionAction.Fail);
    return made;
  }

  static boolean isProject(String text) {
    if (text.isEmpty() || text.length() > 63) return false;
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      boolean plain = c >= 'a' && c <= 'z' || c >= '0' && c <= '9';
      if (!plain && (i == 0 || c != '_' && c != '-')) return false;
    }
    return true;
  }

  static void checkIdentifier(String text, String field) {
    checkText(text, field, true);
  }

  static void checkName(String text, String field) {
    checkText(text, field, false);
  }

  /** 1 to 200 characters, none of them a control character, nor an invisible one where {@code visible}. */
  static void checkText(String text, String field, boolean visible) {
    if (text == null) return;
    int length = text.length();
    if (length == 0 || length > 200 && text.codePointCount(0, length) > 200) throw new Invalid(field);
    for (int i = 0; i < length; i++) {
      char c = text.charAt(i);
      if (c >= ' ' && c < 0x7f) continue;
      int type = Character.getType(Character.isSurrogate(c) ? text.codePointAt(i) : c);
      if (type == Character.CONTROL || type == Character.SURROGATE || visible && type == Character.FORMAT)
        throw new Invalid(field);
      if (Character.isHighSurrogate(c)) i++;
    }
  }

  static Judged judged(Score score) {
    Object value = score.value();
    if (value == null) return new Judged(score.data_type(), null, null);
    DataType type = score.data_type();
    if (type == null)
      type = value instanceof Number ? DataType.NUMERIC : value instanceof Boolean ? DataType.BOOLEAN : DataType.CATEGORICAL;
    switch (type) {
      case NUMERIC -> {
        double number = Double.NaN;
        if (value instanceof Number n) number = n.doubleValue();
        else if (value instanceof String text && DECIMAL.matcher(text).matches()) number = Double.parseDouble(text);
        if (Double.isFinite(number)) return new Judged(type, number, null);
      }
      case BOOLEAN -> {
        if (Boolean.TRUE.equals(value) || "true".equals(value) || value instanceof Number n && n.doubleValue() == 1)
          return new Judged(type, 1.0, "true");
        if (Boolean.FALSE.equals(value) || "false".equals(value) || value instanceof Number n && n.doubleValue() == 0)
          return new Judged(type, 0.0, "false");
      }
      case CATEGORICAL -> {
        if (value instanceof String text && !text.isEmpty()) return new Judged(type, null, text);
      }
    }
    throw new Invalid("value");
  }

  static Enriched enrich(Score score, long receivedMs, int partition, long offset) {
    Judged judged = judged(score);
    Instant received = Instant.ofEpochMilli(receivedMs);
    Instant timestamp = received;
    if (score.timestamp() != null) {
      try {
        timestamp = OffsetDateTime.parse(score.timestamp()).toInstant();
      } catch (DateTimeException e) {
        throw new Invalid("timestamp");
      }
      long ms = timestamp.toEpochMilli();
      if (ms < EARLIEST_MS || ms > receivedMs + AHEAD_MAX_MS) throw new Invalid("timestamp out of bounds");
    }
    double delay = (received.getEpochSecond() - timestamp.getEpochSecond()) + (received.getNano() - timestamp.getNano()) / 1e9;
    String target =
        score.observation_id() != null ? "observation"
            : score.trace_id() != null ? "trace" : score.session_id() != null ? "session" : "dataset_run";
    Evaluator by = score.evaluator();
    return new Enriched(
        score.score_id(), score.project(), score.name(), score.status(), score.error(), judged.type(), judged.value(),
        judged.label(), null, score.config_id(), null, target, score.trace_id(), score.observation_id(),
        score.session_id(), score.dataset_run_id(), score.comment(),
        score.metadata() == null ? Map.of() : score.metadata(), Map.of(), timestamp.toString(), score.source(),
        by == null ? null : by.name(), by == null ? null : by.version(), by == null ? null : by.model(),
        score.author(), score.service(), score.environment(), score.release(), score.schema_version(),
        received.toString(), delay, delay > LATE_AFTER_S, partition, offset);
  }

  static final class Scores extends ContextualProcessor<String, byte[], String, byte[]> {
    private KeyValueStore<String, Long> seen;

    @Override
    public void init(ProcessorContext<String, byte[]> context) {
      super.init(context);
      seen = context.getStateStore("seen");
    }

    @Override
    public void process(Record<String, byte[]> record) {
      byte[] written;
      var place = context().recordMetadata().orElseThrow();
      try {
        if (record.value() == null || record.value().length > BYTES_MAX) throw new Invalid("no value, or too large a one");
        Score score = READER.readValue(record.value());
        if (!(score.project() + "/" + score.score_id()).equals(record.key())) throw new Invalid("key");
        Enriched enriched = enrich(score, record.timestamp(), place.partition(), place.offset());
        if (seen.putIfAbsent(record.key(), place.offset()) != null) return;
        written = WRITER.writeValueAsBytes(enriched);
      } catch (IOException | Invalid e) {
        System.err.println("rejected: " + e.getMessage());
        return;
      }
      context().forward(record.withValue(written));
    }
  }

  public static void main(String[] arguments) {
    Properties p = new Properties();
    p.put(StreamsConfig.APPLICATION_ID_CONFIG, System.getenv("GROUP"));
    p.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, System.getenv("KAFKA"));
    p.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
    p.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, "1000");
    p.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, "1");
    p.put(StreamsConfig.STATE_DIR_CONFIG, System.getenv("STATE"));
    p.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
    p.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
    p.put(StreamsConfig.consumerPrefix("max.poll.records"), 5000);
    p.put(StreamsConfig.consumerPrefix("max.partition.fetch.bytes"), 4 << 20);
    p.put(StreamsConfig.producerPrefix("compression.type"), "lz4");
    p.put(StreamsConfig.producerPrefix("linger.ms"), 20);
    p.put(StreamsConfig.producerPrefix("batch.size"), 262_144);
    StreamsBuilder builder = new StreamsBuilder();
    builder.addStateStore(
        Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore("seen"), Serdes.String(), Serdes.Long()));
    builder.stream(System.getenv("RAW"), Consumed.with(Serdes.String(), Serdes.ByteArray()))
        .process(Scores::new, "seen")
        .to(System.getenv("OUT"), Produced.with(Serdes.String(), Serdes.ByteArray()));
    KafkaStreams streams = new KafkaStreams(builder.build(), p);
    Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
    streams.start();
  }
}
