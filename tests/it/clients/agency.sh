#!/bin/sh
# An agency that publishes over Kafka with kcat: signs one document with its Ed25519 key and writes
# it. Arguments: brokers, topic, the private key (PEM), the agency, the record's id, its type, its
# content type, the document's file, and a topic for the answer, if one is wanted.
set -eu
brokers=$1 topic=$2 key=$3 agency=$4 id=$5 type=$6 content=$7 document=$8 reply=${9:-}
source=/agencies/$agency
text=$(mktemp)
trap 'rm -f "$text"' EXIT
printf 'loa-submission-v1\n%s\n%s\n%s\n' "$id" "$source" "$type" | cat - "$document" >"$text"
signature=$(openssl pkeyutl -sign -rawin -inkey "$key" -in "$text" | base64 -w 0)
kcat -P -b "$brokers" -t "$topic" -k "$agency" -X acks=all -X enable.idempotence=true \
  -H ce_specversion=1.0 -H "ce_id=$id" -H "ce_source=$source" -H "ce_type=$type" \
  -H "content-type=$content" -H loa-key-id=desk -H "loa-signature=$signature" \
  ${reply:+-H "loa-reply-topic=$reply"} "$document"
