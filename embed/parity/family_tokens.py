"""The tokens of the 200 texts of `tokens.json` with the tokenizers of other families."""

import json

from tokenizers import Tokenizer

from golden import GOLDEN
from texts import texts

# the folder of the tokenizer.json, and the length that its family truncates to
TOKENIZERS = {
    "open-clip-roberta-vit-b": 77,
    "open-clip-xlm-roberta-base-vit-b": 77,
    "siglip-base-patch16-224": 64,
    "siglip2-base-patch16-256": 64,
    "chinese-clip-vit-b-16": 52,
    "sentence-bert-cls": 48,
}


def make():
    found = {}
    for folder, context in TOKENIZERS.items():
        tokenizer = Tokenizer.from_file(str(GOLDEN / folder / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.enable_truncation(context)
        found[folder] = {"context": context, "ids": [row.ids for row in tokenizer.encode_batch(texts())]}
    (GOLDEN / "tokens-families.json").write_text(json.dumps(found, separators=(",", ":")) + "\n", encoding="utf-8")
