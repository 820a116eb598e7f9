#!/usr/bin/env bash
# Lets schemathesis (PyPI, pinned, into the target directory) try what /openapi.json says on a node
# of its own, whose data lie below the target directory: with a key that may everything, with one of
# each right, and last with what takes keys, devices and agencies away.
set -euo pipefail

cd "$(dirname "$0")/.."
target=$(realpath "${CARGO_TARGET_DIR:-target}")
dir="$target/schemathesis"
loa="$target/debug/loa"
config="$PWD/deploy/schemathesis.toml"
wanted="schemathesis==4.32.5"

if [ "$(cat "$dir/installed" 2>/dev/null)" != "$wanted" ]; then
  echo "schemathesis: installing $wanted into $dir" >&2
  rm -rf "$dir/python"
  mkdir -p "$dir"
  python3 -m venv "$dir/python"
  "$dir/python/bin/pip" install -q --disable-pip-version-check "$wanted" >&2
  printf '%s' "$wanted" >"$dir/installed"
fi

# What it writes of a run, it writes where it stands.
cd "$dir"
rm -rf data .schemathesis
# One address asks thousands of times within minutes: the limits are others' tests.
cat >loa.toml <<'TOML'
[http]
requests_per_second = 10000
request_burst = 100000
credential_requests_per_second = 10000
credential_request_burst = 100000
citizen_requests_per_second = 10000
citizen_request_burst = 100000
TOML
rights=(write approve override operate admin)
key() { # AGENCY RIGHTS: the agency's new key
  "$loa" agencies key "$1" --rights "$2" --data-dir data | grep -o -m 1 'loa_[A-Za-z0-9_-]*'
}
for agency in all ends "${rights[@]}"; do
  "$loa" agencies put "$agency" --name "$agency" --operator --data-dir data >/dev/null
done
declare -A keys
everything=$(IFS=,; echo "${rights[*]}")
keys[all]=$(key all "$everything")
keys[ends]=$(key ends "$everything")
for right in "${rights[@]}"; do keys[$right]=$(key "$right" "$right"); done

"$loa" serve --config loa.toml --data-dir data --listen 127.0.0.1:0 \
  >node.log 2>&1 &
node=$!
trap 'kill "$node" 2>/dev/null; wait "$node" 2>/dev/null || true' EXIT
for _ in $(seq 300); do
  at=$(sed -n 's/^loa listens on //p' node.log)
  [ -z "$at" ] || break
  kill -0 "$node" 2>/dev/null || { cat node.log >&2; exit 1; }
  sleep 0.2
done
[ -n "$at" ] || { echo "schemathesis: the node did not start" >&2; exit 1; }

device() { # a new device's credentials
  curl -fsS "$at/v1/devices" -H 'content-type: application/json' -d '{"places":[{"unit":"26740"}]}' |
    python3 -c 'import json, sys; d = json.load(sys.stdin); print("Loa-Device", d["id"] + ":" + d["secret"])'
}
failed=0
try() { # WHOSE ARGS...: one run
  local whose=$1
  shift
  echo "schemathesis: as $whose" >&2
  LOA_KEY=${keys[$whose]} LOA_DEVICE=$(device) \
    python/bin/schemathesis --config-file "$config" run "$at/openapi.json" \
    --checks all --seed 1 --generation-database none "$@" || failed=1
}
keep=(--exclude-method DELETE --exclude-path '/v1/console/agencies/{id}')
try all "${keep[@]}" "$@"
for right in "${rights[@]}"; do try "$right" "${keep[@]}" --phases coverage "$@"; done
try ends --include-method DELETE --phases coverage,fuzzing "$@"
try all --include-path '/v1/console/agencies/{id}' --phases coverage,fuzzing "$@"
exit "$failed"
