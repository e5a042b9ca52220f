// Emits a score for each id given as an argument and waits for the acknowledgements, by docs/contract.md.
'use strict'

const { Kafka, Partitioners, CompressionTypes, logLevel } = require('kafkajs')

const env = process.env
const project = env.SCORELINE_PROJECT || 'default'
const topic = (env.SCORELINE_TOPIC_PREFIX || '') + 'scores.raw'
const ids = process.argv.slice(2)
if (ids.length === 0) ids.push('example-node-1', 'example-node-2', 'example-node-3')

const kafka = new Kafka({
  clientId: 'scoreline-example-node',
  brokers: (env.SCORELINE_KAFKA || 'localhost:9092').split(','),
  logLevel: logLevel.ERROR,
})

const producer = kafka.producer({
  // murmur2 as the Java client: the same id is on the same partition from every language
  createPartitioner: Partitioners.DefaultPartitioner,
  idempotent: true,
  // an idempotent producer of kafkajs keeps its order with one request in flight only
  maxInFlightRequests: 1,
  allowAutoTopicCreation: false,
})

function record(scoreId) {
  const score = {
    score_id: scoreId,
    project,
    name: 'accuracy',
    value: 0.92,
    trace_id: '4bf92f3577b34da6a3ce929d0e0e4736',
    timestamp: new Date().toISOString(),
    source: 'EVAL',
    evaluator: { name: 'judge', version: '7' },
    service: 'example-node',
    schema_version: 1,
  }
  return { key: `${project}/${scoreId}`, value: JSON.stringify(score) }
}

async function main() {
  await producer.connect()
  try {
    await producer.send({ topic, acks: -1, compression: CompressionTypes.GZIP, messages: ids.map(record) })
  } finally {
    await producer.disconnect()
  }
  console.log(`${ids.length} acknowledged`)
}

main().catch((error) => {
  console.error(`not acknowledged: ${error.message}`)
  process.exitCode = 1
})
