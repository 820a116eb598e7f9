"""An agency that publishes over Kafka with confluent-kafka: signs one document with its Ed25519 key
and writes it. Arguments: brokers, topic, the private key (PEM), the agency, the record's id, its
type, its content type, the document's file, and a topic for the answer, if one is wanted."""

import base64
import subprocess
import sys
import tempfile

from confluent_kafka import Producer

brokers, topic, key, agency, identity, kind, content, document = sys.argv[1:9]
with open(document, "rb") as file:
    payload = file.read()
source = f"/agencies/{agency}"
head = f"loa-submission-v1\n{identity}\n{source}\n{kind}\n"
with tempfile.NamedTemporaryFile() as text:
    text.write(head.encode() + payload)
    text.flush()
    sign = ["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", key, "-in", text.name]
    signature = base64.b64encode(subprocess.run(sign, check=True, stdout=subprocess.PIPE).stdout)
headers = {
    "ce_specversion": "1.0",
    "ce_id": identity,
    "ce_source": source,
    "ce_type": kind,
    "content-type": content,
    "loa-key-id": "desk",
    "loa-signature": signature,
}
if len(sys.argv) > 9:
    headers["loa-reply-topic"] = sys.argv[9]
failed = []
producer = Producer({"bootstrap.servers": brokers, "acks": "all", "enable.idempotence": True})
producer.produce(
    topic,
    payload,
    agency,
    headers=headers,
    on_delivery=lambda error, _: failed.append(error) if error else None,
)
left = producer.flush(30)
sys.exit(f"not written: {left} {failed}" if left or failed else 0)
