"""tokenizer.json of E5 and USE (HuggingFace's `tokenizers`), from the vocabularies in the two wheels.

Both are SentencePiece unigram models with the normaliser nmt_nfkc. Its compiled map lies in USE's sp.model; E5's wheel
has only a table of single code points, and XLM-R was made with the same nmt_nfkc, so both get USE's map.
"""

import base64
import json
import struct

from tokenizers import Tokenizer

from e5file import E5File
from paths import USE_FILES

LONGEST = 256  # tokens of a text that either network reads, both ends included
USE_UNKNOWN = 0


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def fields(data):
    """(number, value) of the fields of a protobuf message."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        wire = key & 7
        if wire == 0:
            value, at = varint(data, at)
        elif wire == 5:
            (value,), at = struct.unpack_from("<f", data, at), at + 4
        else:
            length, at = (8, at) if wire == 1 else varint(data, at)
            value, at = data[at : at + length], at + length
        yield key >> 3, value


def use_model():
    """(piece, score) of every number, and the compiled map of characters, of sp.model."""
    pieces, charsmap = [], b""
    for field, value in fields((USE_FILES / "sp.model").read_bytes()):
        if field == 1:
            piece = dict(fields(value))
            pieces.append((piece[1].decode(), piece.get(2, 0.0)))
        elif field == 3:
            charsmap = dict(fields(value)).get(2, charsmap)
    return pieces, charsmap


def unigram(pieces, charsmap, unknown, first, last):
    """Normalises, strips, joins spaces, cuts into the likeliest pieces, and puts `first` before and `last` after."""
    vocabulary = [[piece, float(f"{score:.7g}")] for piece, score in pieces]
    normalizers = [
        {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(charsmap).decode()},
        {"type": "Strip", "strip_left": True, "strip_right": True},
        {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
    ]
    metaspace = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": {"type": "Sequence", "normalizers": normalizers},
        "pre_tokenizer": metaspace,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [
                {"SpecialToken": {"id": "<s>", "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": "</s>", "type_id": 0}},
            ],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
            "special_tokens": {
                name: {"id": name, "ids": [number], "tokens": [name]}
                for name, number in (("<s>", first), ("</s>", last))
            },
        },
        "decoder": metaspace,
        "model": {"type": "Unigram", "unk_id": unknown, "vocab": vocabulary, "byte_fallback": False},
    }


def e5_tokenizer():
    file = E5File()
    pieces = [*zip(file.pieces[:-1], file.scores), ("<mask>", file.scores[-1])]
    return unigram(pieces, use_model()[1], file.unk, file.bos, file.eos)


def use_tokenizer():
    pieces, charsmap = use_model()
    return unigram(pieces, charsmap, USE_UNKNOWN, 1, 2)


def loaded(content):
    """The tokenizer of a tokenizer.json, cut to LONGEST."""
    tokenizer = Tokenizer.from_str(json.dumps(content))
    tokenizer.enable_truncation(LONGEST)
    tokenizer.no_padding()
    return tokenizer
