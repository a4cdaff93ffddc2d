"""Valid values that a description in JSON Schema cannot express.

Each is a `format` in the description. Without these hooks schemathesis sends arbitrary strings,
which the server correctly refuses.
"""
import base64
import re
import struct
import zlib

import schemathesis
from hypothesis import strategies as st

DIMENSIONS = 576
MODEL = "clipdb-multilingual"
MOST = 64


def png(pixel):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
    rows = (b"\0" + bytes(pixel) * 8) * 8
    bytes_ = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return base64.b64encode(bytes_).decode()


PNG = png((1, 2, 3))
VECTOR = [1.0] + [0.0] * (DIMENSIONS - 1)
bytes3 = st.tuples(*[st.integers(0, 255)] * 3)
images = bytes3.map(png)
numbers = st.lists(st.floats(-1, 1, width=32), min_size=DIMENSIONS, max_size=DIMENSIONS).map(
    lambda list_: [1.0, *list_[1:]]
)
documents = st.sampled_from(['{"text": "a ferry"}', '[{"id": "b", "text": "a boat"}]', '{"text": "one"}\n{"text": "two"}'])
searches = st.sampled_from(['{"text": "a ferry"}', '{"keywords": "ferry", "limit": 3}'])

schemathesis.openapi.format("image", images)
schemathesis.openapi.format(
    "vector", numbers.map(lambda list_: base64.b64encode(struct.pack(f"<{DIMENSIONS}f", *list_)).decode())
)
schemathesis.openapi.format("documents", documents)
schemathesis.openapi.format("search", searches)
schemathesis.openapi.format("model-or-openai", st.sampled_from([MODEL, "text-embedding-3-small"]))


def completed(value, within=None):
    """A valid request for this server: an image instead of a URL, which it does not fetch, vectors with
    the dimensions of its model, no cursor, which would need an earlier page."""
    if isinstance(value, dict):
        if within == "image" and value.get("url") is not None:
            return {"base64": PNG}
        if within == "$geo_box":
            # The first corner is north of the second.
            return {"top_left": {"lat": 50, "lon": 1}, "bottom_right": {"lat": 40, "lon": 9}}
        if isinstance(value.get("weight"), float) and abs(value["weight"]) < 1e-3:
            # A vector of nearly zero length has no direction.
            value = {**value, "weight": 1.0}
        inner = within == "vectors"
        return {key: VECTOR if (inner or key == "vector") and item is not None else completed(item, key)
                for key, item in value.items() if key != "cursor"}
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        # Integers are unbounded in JSON Schema, but not here.
        return 0
    if isinstance(value, list):
        # Hundreds of images take a model minutes on a CPU.
        return [completed(item, within) for item in value[:MOST] or value]
    return value


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if case.path.endswith("/restore") and case.media_type == "application/octet-stream":
        # A schema cannot describe an archive.
        case.body, case.media_type = {"snapshot": "absent"}, "application/json"
    if isinstance(case.query, dict):
        case.query = {name: value for name, value in case.query.items() if name != "cursor"}
        if "$geo_box" in str(case.query.get("filter")):
            case.query["filter"] = '{"year": {"$gte": 2020}}'
    if isinstance(case.body, dict) and case.media_type == "multipart/form-data":
        # The syntax of a form limits the names of its parts.
        case.body = {name: part for name, part in case.body.items() if re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", name)}
        if case.path.endswith("/search"):
            # Files need a search that refers to them. The generated ones refer to none.
            case.body = {"search": case.body.get("search", '{"text": "a ferry"}')}
        # A form needs at least one part.
        case.body = case.body or {"documents": '{"text": "a ferry"}'}
    if isinstance(case.body, (dict, list)) and case.media_type == "application/json":
        case.body = completed(case.body)
        if case.method.upper() == "PUT" and isinstance(case.body, dict) and case.body.get("model") == "none":
            # The valid documents of such a collection depend on it, which a schema cannot describe.
            case.body = {**case.body, "model": MODEL}
        index = case.body.get("index") if isinstance(case.body, dict) else None
        if isinstance(index, dict) and index.get("pq_m"):
            # Twice this number has to divide the collection's dimensions.
            case.body = {**case.body, "index": {**index, "pq_m": 1}}
        if case.method.upper() == "PATCH" and isinstance(case.body, dict):
            # Removing the only part of a document is an error.
            case.body = {name: part for name, part in case.body.items() if name == "metadata" or part}


@schemathesis.hook
def filter_case(context, case):
    body = case.body
    return not isinstance(body, dict) or all(
        not isinstance(body.get(name), list) or len(body[name]) <= MOST for name in ("inputs", "candidates", "input")
    )
