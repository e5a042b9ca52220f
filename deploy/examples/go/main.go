// Emits a score for each id given as an argument and waits for the acknowledgements, by docs/contract.md.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

type evaluator struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
}

type score struct {
	ScoreID       string    `json:"score_id"`
	Project       string    `json:"project"`
	Name          string    `json:"name"`
	Value         any       `json:"value"`
	TraceID       string    `json:"trace_id,omitempty"`
	Timestamp     string    `json:"timestamp"`
	Source        string    `json:"source"`
	Evaluator     evaluator `json:"evaluator"`
	Service       string    `json:"service"`
	SchemaVersion int       `json:"schema_version"`
}

func record(project, id string) (*kgo.Record, error) {
	value, err := json.Marshal(score{
		ScoreID:       id,
		Project:       project,
		Name:          "accuracy",
		Value:         0.92,
		TraceID:       "4bf92f3577b34da6a3ce929d0e0e4736",
		Timestamp:     time.Now().UTC().Format(time.RFC3339Nano),
		Source:        "EVAL",
		Evaluator:     evaluator{Name: "judge", Version: "7"},
		Service:       "example-go",
		SchemaVersion: 1,
	})
	return &kgo.Record{Key: []byte(project + "/" + id), Value: value}, err
}

func emit(ids []string) error {
	project := cmp.Or(os.Getenv("SCORELINE_PROJECT"), "default")
	client, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(cmp.Or(os.Getenv("SCORELINE_KAFKA"), "localhost:9092"), ",")...),
		kgo.DefaultProduceTopic(os.Getenv("SCORELINE_TOPIC_PREFIX")+"scores.raw"),
		// murmur2 as the Java client: the same id is on the same partition from every language
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
		// writing is idempotent unless it is switched off
		kgo.RequiredAcks(kgo.AllISRAcks()),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	records := make([]*kgo.Record, 0, len(ids))
	for _, id := range ids {
		made, err := record(project, id)
		if err != nil {
			return err
		}
		records = append(records, made)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return client.ProduceSync(ctx, records...).FirstErr()
}

func main() {
	ids := os.Args[1:]
	if len(ids) == 0 {
		ids = []string{"example-go-1", "example-go-2", "example-go-3"}
	}
	if err := emit(ids); err != nil {
		fmt.Fprintln(os.Stderr, "not acknowledged:", err)
		os.Exit(1)
	}
	fmt.Println(len(ids), "acknowledged")
}
