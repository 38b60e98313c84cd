#!/usr/bin/env bash
# Tries the dependencies at one end of what pyproject.toml allows: a scratch environment with nothing else in it, and the
# tests that between them use every dependency and every extra, but no server from npm and no browser.
#
#     tests/bounds.sh PYTHON lowest-direct|highest [pytest's arguments]
#
# Tools of the tests are as new as the dependencies let them be. UV names uv, when it isn't on the PATH.
set -euo pipefail

usage="usage: tests/bounds.sh PYTHON lowest-direct|highest"
python=${1:?$usage}
resolution=${2:?$usage}
shift 2
cd "$(dirname "$0")/.."
uv=${UV:-uv}
tests=(
  appview_index appview_indexer appview_queries  # tantivy
  appview_service                                # starlette, uvicorn
  arrays batches formats                         # numpy, pyarrow, safetensors, scipy
  car commit datamodel keys mst records          # cbor2, libipld, coincurve, cryptography
  cli                                            # click
  config digests manifest manifest_faults        # PyYAML
  store                                          # filelock
  markup site stamping                           # mkdocs, Material, Jinja2, MarkupSafe, comrak, nh3
  http websocket identity                        # httpx, websockets, dnspython
  lexicon                                        # regex
  packing shards storage                         # msgpack
  previews                                       # pillow
  sdk_session                                    # atproto
  pipelines                                      # webdataset
  snippets                                       # Pygments
)

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$uv" venv --quiet --python "$python" "$scratch/venv"
"$uv" pip compile --quiet --python "$scratch/venv/bin/python" --resolution "$resolution" --all-extras --no-annotate \
  pyproject.toml --output-file "$scratch/bounds.txt"
"$uv" pip install --quiet --python "$scratch/venv/bin/python" --constraint "$scratch/bounds.txt" \
  --requirement "$scratch/bounds.txt" --group dev
"$uv" pip install --quiet --python "$scratch/venv/bin/python" --no-deps --editable .
"$scratch/venv/bin/python" --version
"$uv" pip list --quiet --python "$scratch/venv/bin/python" | grep -iE "^($(sed -nE 's/^ +"([A-Za-z0-9_.-]+)[>=].*/\1/p' pyproject.toml | sort -u | paste -sd'|')) "

# A warning of an old library is not ours to mend; without the cache two of these may run at once.
"$scratch/venv/bin/python" -m pytest -q -p no:cacheprovider -o filterwarnings=default "$@" $(printf "tests/*/test_%s.py " "${tests[@]}")
