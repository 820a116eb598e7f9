#!/usr/bin/env bash
# Runs the fuzz targets of fuzz/ under libFuzzer (cargo-fuzz, nightly Rust): all at once, an hour
# each, or one for so many seconds:  fuzz.sh [TARGET [SECONDS]]
# What reaches something new goes to target/fuzz/corpus, not to the repository. Of that
#   fuzz.sh keep [TARGET [BYTES]]
# adds to fuzz/corpus the fewest inputs of at most so many bytes (64) that reach what nothing there
# does.
set -euo pipefail

cd "$(dirname "$0")/.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/fuzz
triple=$(rustc +nightly -vV 2>/dev/null | sed -n 's/^host: //p')
[ -n "$triple" ] || { echo "fuzz: nightly Rust is missing: rustup toolchain install nightly" >&2; exit 1; }
cargo fuzz --version >/dev/null 2>&1 || cargo install --locked cargo-fuzz@0.13.2 >&2

keep=false
if [ "${1:-}" = keep ]; then keep=true; shift; fi
targets=${1:-$(cd fuzz/targets && ls -- *.rs | sed 's/\.rs$//')}
seconds=${2:-3600}
bytes=${2:-64}

# No sanitizer: the crate denies unsafe code, and without one many times as much is tried. Debug
# assertions and overflow checks are on (cargo-fuzz's default).
cargo metadata --locked --format-version 1 --manifest-path fuzz/Cargo.toml >/dev/null
for name in $targets; do
  cargo +nightly fuzz build -s none --no-cfg-fuzzing --target-dir "$target" "$name"
done

program() { echo "$target/$triple/release/$1"; }

if $keep; then
  for name in $targets; do
    small="$target/small/$name"
    rm -rf "$small" && mkdir -p "$small" "$target/corpus/$name"
    find "$target/corpus/$name" -type f -size "-$((bytes + 1))c" -exec cp -t "$small" {} +
    # Edges alone: how often one is passed would keep ten times as many.
    "$(program "$name")" -merge=1 -use_counters=0 -timeout=10 -rss_limit_mb=2048 \
      "$PWD/fuzz/corpus/$name" "$small"
  done
  exit
fi

running=()
for name in $targets; do
  mkdir -p "$target/corpus/$name" "$target/artifacts/$name"
  words=()
  [ -f "fuzz/dictionaries/$name.dict" ] && words=("-dict=$PWD/fuzz/dictionaries/$name.dict")
  "$(program "$name")" -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10 \
    "${words[@]}" -artifact_prefix="$target/artifacts/$name/" \
    "$target/corpus/$name" "$PWD/fuzz/corpus/$name" >"$target/$name.log" 2>&1 &
  running+=("$name:$!")
done
failed=0
for one in "${running[@]}"; do
  name=${one%%:*}
  if wait "${one##*:}"; then
    echo "fuzz: $name: $(grep -c . "$target/$name.log") lines, $(tail -n 1 "$target/$name.log")"
  else
    failed=1
    echo "fuzz: $name FOUND SOMETHING: $target/$name.log, $target/artifacts/$name" >&2
  fi
done
exit $failed
