"""The unmodified `openai` client against a running server: BASE KEY MODEL PICTURE."""

import base64
import json
import struct
import sys
import urllib.request

import openai

base, key, model, picture = sys.argv[1:]
client = openai.OpenAI(base_url=f"{base}/v1", api_key=key, max_retries=0)
create = client.embeddings.create


def encode(inputs):
    """The vectors of the same inputs from the server's own route."""
    body = json.dumps({"inputs": inputs, "model": model}).encode()
    headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}
    request = urllib.request.Request(f"{base}/encode", body, headers)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["vectors"]


def near(one, other):
    assert len(one) == len(other), (len(one), len(other))
    assert all(abs(a - b) < 1e-5 for a, b in zip(one, other))


def refused(kind, code, words, **arguments):
    try:
        create(**arguments)
    except kind as error:
        assert error.code == code, error
        assert words in error.body["message"], error
        return
    raise AssertionError(f"{arguments} was taken")


# Models.
listed = client.models.list().data
assert [found.id for found in listed] == [model], listed
assert client.models.retrieve(model).id == model
try:
    client.models.retrieve("owner/absent")
    raise AssertionError("a model that is not there was found")
except openai.NotFoundError as error:
    assert error.code == "unknown_model" and model in error.body["message"], error

# A string and a list, in order. The client requests base64 by default.
texts = ["a cat", "a dog", "quarterly tax report", ""]
expected = encode([{"text": text} for text in texts])
answer = create(model=model, input=texts)
assert answer.object == "list" and answer.model == model
assert [item.index for item in answer.data] == [0, 1, 2, 3]
for item, vector in zip(answer.data, expected):
    near(item.embedding, vector)
near(create(model=model, input=texts[0]).data[0].embedding, expected[0])
near(create(model=model, input=texts[0], encoding_format="float").data[0].embedding, expected[0])
packed = create(model=model, input=texts[0], encoding_format="base64").data[0].embedding
near(struct.unpack(f"<{len(expected[0])}f", base64.b64decode(packed)), expected[0])

# The tokenizer counts the special tokens and each word.
usage = [create(model=model, input=text).usage.prompt_tokens for text in ["", "cat", "cat cat"]]
assert usage == [2, 3, 4], usage
assert create(model=model, input=["cat", "cat cat"]).usage.total_tokens == 7

# An image as a data URI, among texts.
data = open(picture, "rb").read()
encoded = base64.b64encode(data).decode()
answer = create(model=model, input=["a cat", f"data:image/png;base64,{encoded}"])
near(answer.data[1].embedding, encode([{"image": {"base64": encoded}}])[0])

# A truncated input is reported.
answer = create(model=model, input=["short", "long " * 2000])
assert [getattr(item, "truncated", False) for item in answer.data] == [False, True]

# Only the model's own dimensions are accepted.
size = len(expected[0])
assert len(create(model=model, input="a", dimensions=size).data[0].embedding) == size
bad = openai.BadRequestError
refused(bad, "invalid_field", str(size), model=model, input="a", dimensions=size // 2)

# Refusals.
refused(bad, "invalid_field", "token numbers", model=model, input=[1, 2, 3])
refused(bad, "invalid_field", "token numbers", model=model, input=[[1, 2], [3]])
refused(bad, "invalid_field", "1 to 2048", model=model, input=[])
refused(bad, "invalid_field", "hex", model=model, input="a", encoding_format="hex")
refused(bad, "invalid_image", "", model=model, input="data:image/png;base64,aGk=")
refused(openai.NotFoundError, "unknown_model", model, model="another", input="a")

# Parameters of other servers, and the default names of clients.
near(create(model=model, input=texts[0], extra_body={"input_type": "query"}).data[0].embedding, expected[0])
answer = create(model="text-embedding-3-small", input=texts[0])
near(answer.data[0].embedding, expected[0])
assert answer.model == model, answer.model

stranger = openai.OpenAI(base_url=f"{base}/v1", api_key="wrong", max_retries=0)
try:
    stranger.models.list()
    raise AssertionError("a wrong key was taken")
except openai.AuthenticationError as error:
    assert error.code == "unauthorized", error
print("ok")
