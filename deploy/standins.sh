#!/usr/bin/env bash
# Stand-ins for the images that deploy/compose.yaml and deploy/Containerfile name, for a machine
# that reaches Debian's packages and no registry of images: made with podman of those packages and
# of this machine's own Rust, Node and Kafka (deploy/setup.sh test). Each takes the settings, paths
# and users that the compose file relies on. Grafana has no package, and so no stand-in.
set -euo pipefail

cd "$(dirname "$0")/.."
target="${CARGO_TARGET_DIR:-target}"
work="$target/standins"

say() { printf 'standins: %s\n' "$*" >&2; }
has() { podman image exists "localhost/$1"; }

# An image from a description on standard input, in a folder of its own.
image() {
  say "$1"
  podman build -q --isolation chroot -t "localhost/$1" -f - "$2"
}

command -v podman >/dev/null || { say "podman is missing (Debian: podman)"; exit 1; }
[ -d "$target/kafka/libs" ] || { say "run deploy/setup.sh test first"; exit 1; }
mkdir -p "$work/empty"

if ! has debian:bookworm-slim; then
  command -v debootstrap >/dev/null || { say "debootstrap is missing (Debian: debootstrap)"; exit 1; }
  say "debian:bookworm-slim"
  mirror=$(sed -n 's/^URIs: *//p; s/^deb \(\[.*\] \)\?\(http[^ ]*\) .*/\2/p' \
    /etc/apt/sources.list.d/*.sources /etc/apt/sources.list 2>/dev/null | head -n 1 || true)
  debootstrap --variant=minbase --include=ca-certificates bookworm "$work/root" \
    ${mirror:+"$mirror"} >"$work/debootstrap.log"
  tar -C "$work/root" -c . | podman import -q - localhost/debian:bookworm-slim
  rm -rf "$work/root"
fi

has redis:7-bookworm || image redis:7-bookworm "$work/empty" <<'END'
FROM localhost/debian:bookworm-slim
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends redis-server \
 && install -d -o redis -g redis /data
USER redis
WORKDIR /data
VOLUME /data
# As the image's own: everybody may connect who knows the password.
CMD ["redis-server", "--protected-mode", "no"]
END

# What the image's entry point does with `*.template` and the resolvers, it does here; of several
# resolvers only the engine's own, the first, knows the services.
has nginx:1-bookworm || image nginx:1-bookworm "$work/empty" <<'END'
FROM localhost/debian:bookworm-slim
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends nginx-light gettext-base \
 && rm /etc/nginx/sites-enabled/default && mkdir -p /etc/nginx/templates
RUN printf '%s\n' '#!/bin/sh' 'set -e' \
 'servers=$(awk '"'"'/^nameserver/ { print $2; exit }'"'"' /etc/resolv.conf)' \
 'export NGINX_LOCAL_RESOLVERS="$servers"' \
 'for one in /etc/nginx/templates/*.template; do' \
 '  envsubst "\$NGINX_LOCAL_RESOLVERS" <"$one" >"/etc/nginx/conf.d/$(basename "$one" .template)"' \
 'done' 'exec nginx -g "daemon off;"' >/entry && chmod +x /entry
CMD ["/entry"]
END

has prom/prometheus:v3.5.0 || image prom/prometheus:v3.5.0 "$work/empty" <<'END'
FROM localhost/debian:bookworm-slim
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends prometheus \
 && install -d -o 65534 -g 65534 /prometheus
USER 65534
ENTRYPOINT ["/usr/bin/prometheus", "--config.file=/etc/prometheus/prometheus.yml", \
  "--storage.tsdb.path=/prometheus"]
END

# Kafka's jar holds the program that makes settings of KAFKA_… in the image, too, and formats the
# log; that it was formatted before is no failure, there as here.
has apache/kafka:4.1.1 || image apache/kafka:4.1.1 "$target/kafka" <<'END'
FROM localhost/debian:bookworm-slim
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends default-jre-headless
COPY libs /opt/kafka/libs
RUN useradd --uid 1000 appuser && mkdir -p /etc/kafka/docker /mnt/shared/config /var/lib/kafka/data \
 && printf 'process.roles=broker,controller\n' >/etc/kafka/docker/server.properties \
 && printf '{}\n' >/etc/kafka/docker/log4j2.yaml \
 && cp /etc/kafka/docker/log4j2.yaml /etc/kafka/docker/tools-log4j2.yaml \
 && mkdir /opt/kafka/config && chown -R appuser /etc/kafka /opt/kafka/config /var/lib/kafka
RUN printf '%s\n' '#!/bin/sh' 'set -e' 'java() { command java -cp "/opt/kafka/libs/*" "$@"; }' \
 'said=$(java kafka.docker.KafkaDockerWrapper setup --default-configs-dir /etc/kafka/docker \' \
 '  --mounted-configs-dir /mnt/shared/config --final-configs-dir /opt/kafka/config 2>&1) \' \
 '  || echo "$said" | grep "already formatted" || { echo "$said"; exit 1; }' \
 'exec java -Xmx384m -XX:+UseSerialGC -cp "/opt/kafka/libs/*" kafka.Kafka \' \
 '  /opt/kafka/config/server.properties' >/etc/kafka/docker/run && chmod +x /etc/kafka/docker/run
USER appuser
VOLUME /var/lib/kafka/data
CMD ["/etc/kafka/docker/run"]
END

# The two that only build: this machine's toolchains, and how their registries are reached and
# whose certificates are believed there.
authorities=/etc/ssl/certs/ca-certificates.crt
if ! has node:22-bookworm-slim; then
  rm -rf "$work/node" && mkdir -p "$work/node/lib"
  cp "$(readlink -f "$(command -v node)")" "$work/node/node"
  cp -rL "$(npm root -g)/npm" "$work/node/lib/npm"
  npm config get registry >"$work/node/registry"
  cp "$authorities" "$work/node/"
  image node:22-bookworm-slim "$work/node" <<'END'
FROM localhost/debian:bookworm-slim
COPY node /usr/bin/node
COPY lib /usr/lib/node_modules
COPY registry /registry
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt
RUN ln -s /usr/lib/node_modules/npm/bin/npm-cli.js /usr/bin/npm \
 && chmod +x /usr/lib/node_modules/npm/bin/npm-cli.js \
 && npm config --global set registry "$(cat /registry)"
END
fi
if ! has rust:1.95-bookworm; then
  rm -rf "$work/rust" && mkdir -p "$work/rust"
  cp -r "$(rustc --print sysroot)" "$work/rust/toolchain"
  rm -rf "$work/rust/toolchain/share"
  mkdir -p "$work/rust/cargo"
  cp "$authorities" "$work/rust/"
  for config in "${CARGO_HOME:-$HOME/.cargo}"/config.toml; do
    [ ! -f "$config" ] || cp "$config" "$work/rust/cargo/"
  done
  image rust:1.95-bookworm "$work/rust" <<'END'
FROM localhost/debian:bookworm-slim
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends gcc libc6-dev
COPY toolchain /usr/local/rust
COPY cargo /usr/local/cargo
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
ENV PATH=/usr/local/rust/bin:$PATH CARGO_HOME=/usr/local/cargo
END
fi
say "all there"
