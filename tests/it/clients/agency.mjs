// An agency that publishes over Kafka: signs each document with its Ed25519 key and writes it.
// Arguments: the kafkajs package, brokers, topic, the private key (PEM), then documents as JSON:
// {"id", "agency", "type", "contentType", "payload", "signed", "replyTopic"}.
import { createRequire } from "node:module";
import { createPrivateKey, sign } from "node:crypto";
import { readFileSync } from "node:fs";

const [, , packageFolder, brokers, topic, keyFile, ...documents] = process.argv;
const { Kafka, logLevel } = createRequire(import.meta.url)(packageFolder);
const key = createPrivateKey(readFileSync(keyFile));

const message = (text) => {
  const { id, agency, type, contentType, payload, signed, replyTopic } = JSON.parse(text);
  const source = `/agencies/${agency}`;
  const value = Buffer.from(payload);
  const headers = {
    ce_specversion: "1.0",
    ce_id: id,
    ce_source: source,
    ce_type: type,
    "content-type": contentType,
  };
  if (replyTopic) headers["loa-reply-topic"] = replyTopic;
  if (signed) {
    const head = Buffer.from(`loa-submission-v1\n${id}\n${source}\n${type}\n`);
    headers["loa-key-id"] = "desk";
    headers["loa-signature"] = sign(null, Buffer.concat([head, value]), key).toString("base64");
  }
  return { key: agency, value, headers };
};

const kafka = new Kafka({ clientId: "agency", brokers: brokers.split(","), logLevel: logLevel.ERROR });
const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 });
await producer.connect();
await producer.send({ topic, acks: -1, messages: documents.map(message) });
await producer.disconnect();
