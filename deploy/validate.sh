#!/usr/bin/env bash
# Holds deploy/ to validators that others wrote: Kubernetes' own schemas, the Compose specification,
# Prometheus's promtool, a linter of YAML. They come from PyPI and Debian into the target directory.
# Whether images start, and where pods land, only a container engine and a cluster tell.
set -euo pipefail

cd "$(dirname "$0")/.."
dir="${CARGO_TARGET_DIR:-target}/validators"
wanted="kubernetes-validate==1.37.0 compose-spec==0.2.1 yamllint==1.38.0 pyyaml"

if [ "$(cat "$dir/installed" 2>/dev/null)" != "$wanted" ]; then
  echo "validate: installing $wanted into $dir" >&2
  rm -rf "$dir/python"
  python3 -m venv "$dir/python"
  # shellcheck disable=SC2086 # A list of names.
  "$dir/python/bin/pip" install -q --disable-pip-version-check $wanted >&2
  printf '%s' "$wanted" >"$dir/installed"
fi
promtool=$(command -v promtool || echo "$PWD/$dir/prometheus/usr/bin/promtool")
if [ ! -x "$promtool" ]; then
  echo "validate: fetching promtool (Debian: prometheus) into $dir" >&2
  # Unpacked and not installed, or Debian would start a server.
  (cd "$dir" && apt-get download -qq prometheus >/dev/null 2>&1 &&
    dpkg-deb -x prometheus_*.deb prometheus) ||
    { echo "validate: promtool is missing: install Prometheus" >&2; exit 1; }
fi

"$promtool" check rules deploy/prometheus/alerts.yml
"$promtool" check config --syntax-only deploy/prometheus/prometheus.yml
"$dir/python/bin/yamllint" -s -d "{extends: relaxed, rules: {line-length: disable}}" deploy
"$dir/python/bin/python" deploy/validate.py
