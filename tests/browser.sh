#!/usr/bin/env bash
# Sees to it that the tests have a Chromium: one that is named or installed, else Debian's, else Playwright's own.
set -euo pipefail

python=${1:?usage: tests/browser.sh PYTHON}

if [[ -n ${CATALOG_CHROMIUM:-} ]]; then
  [[ -x $CATALOG_CHROMIUM ]] && exit 0
  echo "CATALOG_CHROMIUM=$CATALOG_CHROMIUM is not a program that can be run" >&2
  exit 1
fi
for name in chromium chromium-browser google-chrome google-chrome-stable; do
  command -v "$name" >/dev/null && exit 0
done

own='from playwright.sync_api import sync_playwright as p
with p() as p: print(p.chromium.executable_path)'
[[ -x $("$python" -c "$own") ]] && exit 0

if command -v apt-get >/dev/null; then
  as_root=()
  ((EUID == 0)) || as_root=(sudo -n)
  echo "No Chromium here: trying apt-get install chromium" >&2
  # Ubuntu's package of this name is a door to the snap store, which containers don't have; hence the check.
  if "${as_root[@]}" apt-get update -qq >&2 \
    && "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >&2 \
    && chromium --version >&2; then
    exit 0
  fi
fi

echo "Trying playwright install chromium" >&2
if "$python" -m playwright install chromium >&2; then
  exit 0
fi

cat >&2 <<'TEXT'
The tests need a Chromium and none could be installed.
Install Chromium or Chrome by the means of this system, or set CATALOG_CHROMIUM to the path of one.
TEXT
exit 1
