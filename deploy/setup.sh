#!/usr/bin/env bash
# What Loa needs on a machine: `deploy/setup.sh build` to build and run it, `console` to build its
# web pages, `e2e` to try them in a browser, `test` to run every test, `bench` for that and for
# Debian's servers among those that the benchmarks are compared with. Installs what is missing where
# apt-get exists (Debian, Ubuntu) and says so; elsewhere it names what is missing and stops.
# It never installs a Rust toolchain.
set -euo pipefail

cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { say "$@"; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }

# The oldest Rust that builds this package, as Cargo.toml states it.
rust_wanted() { sed -n 's/^rust-version *= *"\(.*\)"/\1/p' Cargo.toml; }

need_rust() {
  # rustup puts cargo where a fresh shell, or one of CI, may not look.
  has cargo || PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
  has cargo || fail "Rust is missing. Install it with rustup (https://rustup.rs), then run this" \
    "again; Loa needs $(rust_wanted) or newer."
  local have wanted
  have=$(rustc --version | awk '{print $2}')
  wanted=$(rust_wanted)
  [ "$(printf '%s\n%s\n' "$wanted" "${have%%-*}" | sort -V | head -n 1)" = "$wanted" ] ||
    fail "Rust $have is too old: Loa needs $wanted. Update it with: rustup update stable"
}

# Node's own binary is `node`; the tests' clients and the pages' build need 18 or newer.
node_is_new() { has node && [ "$(node -p 'process.versions.node.split(".")[0]')" -ge 18 ]; }

# Kafka 4 needs Java 17.
java_is_new() {
  local version
  version=$(java -XshowSettings:properties -version 2>&1 |
    sed -n 's/^ *java.specification.version = //p') || return 1
  [ "${version%%.*}" -ge 17 ] 2>/dev/null
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@" || sudo "$@"; fi
}

# The browser that the pages are tried in; CHROMIUM names another.
has_chromium() {
  [ -x "${CHROMIUM:-}" ] || has chromium || has chromium-browser || has google-chrome
}

# Kafka's client for Python, in the first Python on the path or in the system's own.
has_confluent() {
  local python
  for python in python3 /usr/bin/python3; do
    "$python" -c 'import confluent_kafka' >/dev/null 2>&1 && return 0
  done
  return 1
}

# PostgreSQL with PostGIS; LOA_POSTGRES names the folder of another one's programs.
has_postgis() {
  [ -n "${LOA_POSTGRES:-}" ] ||
    compgen -G '/usr/share/postgresql/*/extension/postgis.control' >/dev/null
}

# NATS; LOA_NATS names the program of another one. Debian puts it where not every path leads.
has_nats() { [ -n "${LOA_NATS:-}" ] || has nats-server || [ -x /usr/sbin/nats-server ]; }

# Packages of Debian for what is not there, one a line.
missing() {
  if [ "$1" != build ]; then
    node_is_new || echo nodejs
    has npm || echo npm
  fi
  # The browser, and the hand that spoils a log for it.
  if [ "$1" = e2e ] || [ "$1" = test ]; then
    has_chromium || echo chromium
    has sqlite3 || echo sqlite3
  fi
  [ "$1" != console ] || return 0
  has cc || has gcc || echo gcc
  # A compiler without the C library's headers compiles nothing.
  if { has cc || has gcc; } && ! echo '#include <stdlib.h>' | cc -E - >/dev/null 2>&1; then
    echo libc6-dev
  fi
  has cc || has gcc || echo libc6-dev
  has make || echo make
  # librdkafka is C with a C++ face, and takes OpenSSL's static library from the system.
  has g++ || echo g++
  has pkg-config || echo pkg-config
  pkg-config --exists openssl 2>/dev/null || echo libssl-dev
  if [ "$1" = test ]; then
    has curl || echo curl
    # Apache Kafka, unless the tests are given one; a headless Java of 17 or newer runs it.
    if [ -z "${LOA_TEST_KAFKA:-}" ]; then
      java_is_new || echo default-jre-headless
      has mvn || echo maven
    fi
    has redis-server || echo redis-server
    # Agencies' own programs: a shell's client of Kafka, and Python's.
    has kcat || echo kcat
    has openssl || echo openssl
    has_confluent || echo python3-confluent-kafka
    # Another implementation of XML signatures.
    has xmlsec1 || echo xmlsec1
  fi
  if [ "$peers" = yes ]; then
    has_postgis || echo postgresql-postgis
    has_nats || echo nats-server
  fi
}

# Debian starts a server when its package is installed, and with the machine. The tests and benches
# start their own on ports of their own: neither must happen where there was none before.
install_quietly() {
  local policy=/usr/sbin/policy-rc.d mine="" service
  local -a fresh=()
  for service in redis-server nats-server; do
    if [[ " $* " == *" $service "* ]]; then fresh+=("$service"); fi
  done
  if [[ " $* " == *" postgresql-postgis "* ]] &&
    ! compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null; then
    fresh+=(postgresql)
  fi
  if [ "${#fresh[@]}" -gt 0 ] && [ ! -e "$policy" ]; then
    mine=yes
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
  fi
  local status=0
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "$@" >&2 || status=$?
  if [ -n "$mine" ]; then as_root rm -f "$policy"; fi
  if has systemctl; then
    for service in "${fresh[@]}"; do
      as_root systemctl disable "$service" >/dev/null 2>&1 || true
    done
  fi
  return "$status"
}

need_packages() {
  local list
  mapfile -t list < <(missing "$1")
  [ "${#list[@]}" -gt 0 ] || return 0
  if ! has apt-get; then
    fail "missing here: ${list[*]} (the names of Debian's packages)." \
      "Install them with your system's package manager, then run this again."
  fi
  if [ "$(id -u)" -ne 0 ] && ! has sudo; then
    fail "missing here: ${list[*]}. Run as root: apt-get install ${list[*]}"
  fi
  say "installing with apt-get: ${list[*]}"
  as_root apt-get update -qq
  install_quietly "${list[@]}"
  mapfile -t list < <(missing "$1")
  [ "${#list[@]}" -eq 0 ] || fail "still missing after apt-get: ${list[*]}"
}

# The tests' clients in other languages, from the lock file, never committed.
need_clients() {
  local dir="${CARGO_TARGET_DIR:-target}/clients"
  mkdir -p "$dir"
  if cmp -s tests/it/clients/package-lock.json "$dir/installed"; then
    return 0
  fi
  say "installing the npm packages kafkajs, oidc-provider, ws and web-push-testing into $dir"
  cp tests/it/clients/package.json tests/it/clients/package-lock.json "$dir/"
  npm ci --prefix "$dir" --ignore-scripts --no-audit --no-fund --loglevel=error >&2
  cp tests/it/clients/package-lock.json "$dir/installed"
}

# Apache Kafka's jars, from Maven's central repository, never committed.
need_kafka() {
  [ -z "${LOA_TEST_KAFKA:-}" ] || return 0
  local dir="${CARGO_TARGET_DIR:-target}/kafka"
  mkdir -p "$dir"
  if cmp -s tests/it/kafka/pom.xml "$dir/installed"; then
    return 0
  fi
  say "fetching Apache Kafka with Maven into $dir"
  dir=$(cd "$dir" && pwd)
  mvn -q -B -f tests/it/kafka/pom.xml \
    org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$dir/libs" >&2
  cp tests/it/kafka/pom.xml "$dir/installed"
}

# What the pages are built from and tried with, from the lock file, never committed.
need_pages_packages() {
  if cmp -s console/package-lock.json console/node_modules/.installed; then return 0; fi
  say "installing the web pages' npm packages into console/node_modules"
  npm ci --prefix console --ignore-scripts --no-audit --no-fund --loglevel=error >&2
  cp console/package-lock.json console/node_modules/.installed
}

mode=${1:-} peers=no
case "$mode" in
  build | console | e2e | test) ;;
  bench) mode=test peers=yes ;;
  *) fail "usage: deploy/setup.sh build|console|e2e|test|bench" ;;
esac
need_packages "$mode"
[ "$mode" = console ] || need_rust
[ "$mode" = build ] || need_pages_packages
if [ "$mode" = e2e ] || [ "$mode" = test ]; then need_clients; fi
if [ "$mode" = test ]; then need_kafka; fi
