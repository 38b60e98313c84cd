#!/usr/bin/env bash
# Install the newest reference PDS into tests/network-next, with the version of Node that it needs.
set -euo pipefail
cd "$(dirname "$0")/network-next"

# Without scripts: the machine's Node would build better-sqlite3 for itself, and may be too old for this PDS.
npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
for node in "$PWD"/node_modules/node-{linux,darwin}-*; do
  if [ -x "$node/bin/node" ]; then
    export PATH="$node/bin:$PATH" npm_config_nodedir="$node"
  fi
done
npm rebuild --loglevel=error better-sqlite3
