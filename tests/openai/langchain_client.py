"""LangChain's unmodified wrapper of that client: BASE KEY MODEL."""

import asyncio
import sys

import openai
import tiktoken
from langchain_openai import OpenAIEmbeddings

base, key, model = sys.argv[1:]
plain = OpenAIEmbeddings(
    base_url=f"{base}/v1", api_key=key, model=model, check_embedding_ctx_length=False
)


def dot(one, other):
    return sum(a * b for a, b in zip(one, other))


texts = ["a cat", "a dog", "quarterly tax report"]
documents = plain.embed_documents(texts)
assert len(documents) == 3 and len({len(vector) for vector in documents}) == 1
query = plain.embed_query("a kitten")
assert max(range(3), key=lambda at: dot(query, documents[at])) == 0
again = asyncio.run(plain.aembed_documents(texts))
assert all(dot(one, other) > 0.9999 for one, other in zip(documents, again))
# It sends a thousand texts per request.
assert len(plain.embed_documents([f"text {number}" for number in range(1100)])) == 1100

# By default it sends the token numbers of a tokenizer of OpenAI, which would be downloaded first.
# Here a tokenizer with one token per byte replaces it.
stand_in = tiktoken.Encoding(
    "bytes",
    pat_str=r"(?s:.)",
    mergeable_ranks={bytes([byte]): byte for byte in range(256)},
    special_tokens={},
)
tiktoken.get_encoding = lambda name: stand_in
tiktoken.encoding_for_model = lambda name: stand_in
default = OpenAIEmbeddings(base_url=f"{base}/v1", api_key=key, model=model)
try:
    default.embed_documents(texts)
    raise AssertionError("token numbers were taken")
except openai.BadRequestError as error:
    assert "check_embedding_ctx_length=False" in str(error), error
print("ok")
