"""Where the scripts of this folder keep things: one cache folder outside git, one model folder inside it."""

import os
from pathlib import Path

CACHE = Path(os.environ.get("CLIPDB_CACHE", Path.home() / ".cache" / "clipdb")) / "model"
NPM = CACHE / "npm" / "node_modules"
DEBIAN = CACHE / "debian"
FEATURES = CACHE / "features"
HEADS = CACHE / "heads"

HERE = Path(__file__).resolve().parent
MODEL = HERE / "clipdb-multilingual"
MINI = HERE / "clipdb-mini"  # has the image network
UNNAMED_QUERIES = HERE / "queries_unnamed.tsv"
