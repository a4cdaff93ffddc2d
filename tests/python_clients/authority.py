"""gRPC calls over TLS with the `:authority` and `origin` of a web page.

usage: authority.py GRPC_HOST:PORT     prints ok
"""
import sys

import httpx

PERMISSION_DENIED = "7"
address = sys.argv[1]
client = httpx.Client(http2=True, http1=False, verify=False, trust_env=False)


def call(authority, more):
    # httpx sends the Host header as :authority.
    headers = {"host": authority, "content-type": "application/grpc", "te": "trailers", **more}
    return client.post(f"https://{address}/jina.JinaInfoRPC/_status", headers=headers, content=bytes(5))


# A refused call has its status in the head, a served one in the trailers.
for authority in (address, "localhost"):
    served = call(authority, {})
    assert served.headers.get("grpc-status") is None and len(served.content) > 5, served.headers
for authority, more in [
    ("evil.example", {}),
    ("evil.example:51000", {}),
    (address, {"origin": "http://evil.example"}),
    (address, {"origin": "null"}),
    (address, {"sec-fetch-site": "cross-site"}),
]:
    refused = call(authority, more)
    assert refused.headers.get("grpc-status") == PERMISSION_DENIED, (authority, more, refused.headers)
print("ok")
