"""gRPC calls over TLS whose `:authority` and `origin` are a page's.

usage: authority.py GRPC_HOST:PORT     prints ok
"""
import sys

import httpx

PERMISSION_DENIED = "7"
address = sys.argv[1]
client = httpx.Client(http2=True, http1=False, verify=False, trust_env=False)


def call(authority, more):
    # httpx sends what it is given as Host as the :authority.
    headers = {"host": authority, "content-type": "application/grpc", "te": "trailers", **more}
    return client.post(f"https://{address}/jina.JinaInfoRPC/_status", headers=headers, content=bytes(5))


# A call that is refused has its status in the head, one that is served in its trailers.
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
