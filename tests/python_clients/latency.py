"""Measures requests of `requests` and `httpx` on a kept-alive connection with their default headers,
which accept compression.

usage: latency.py BASE_URL [CERTIFICATE|-] [--collection NAME] [--at-most-ms N]

Prints a Markdown table. With --at-most-ms the exit code is 1 if a median is longer.
"""
import argparse
import statistics
import sys
import time

import httpx
import requests

ROUNDS = 40
SEARCH = "/collections/{collection}/search"
ASKED = [
    ("a keyword search", "POST", SEARCH, {"text": "ferry", "mode": "keyword"}),
    ("a search by meaning", "POST", SEARCH, {"text": "a ferry"}),
    ("an encoded text", "POST", "/encode", {"inputs": [{"text": "a ferry"}]}),
    ("the list of collections", "GET", "/collections", None),
    ("openapi.json", "GET", "/openapi.json", None),
]


def median_ms(send):
    for _ in range(3):
        send()
    took = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        send()
        took.append((time.perf_counter() - started) * 1000)
    return statistics.median(took)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("base")
    parser.add_argument("certificate", nargs="?", default="-")
    parser.add_argument("--collection", default="default")
    parser.add_argument("--at-most-ms", type=float)
    arguments = parser.parse_args()
    base = arguments.base.rstrip("/")
    verify = True if arguments.certificate == "-" else arguments.certificate

    session = requests.Session()
    session.trust_env = False
    session.verify = verify
    client = httpx.Client(verify=verify, trust_env=False)
    plain = requests.Session()
    plain.trust_env = False
    plain.verify = verify
    plain.headers["accept-encoding"] = "identity"

    print("| median ms on a kept-alive connection | requests | httpx | requests, uncompressed |")
    print("| --- | --- | --- | --- |")
    longest = 0.0
    for what, method, path, body in ASKED:
        def send(sender):
            answer = sender.request(method, base + path.format(collection=arguments.collection), json=body)
            assert answer.status_code == 200, (answer.status_code, answer.text)
            return answer.content

        medians = [median_ms(lambda: send(sender)) for sender in (session, client, plain)]
        print(f"| {what} | " + " | ".join(f"{value:.1f}" for value in medians) + " |")
        # The time of the model is not limited, but compression must not add to it.
        idle = medians[2] if path in (SEARCH, "/encode") else 0.0
        longest = max(longest, *(value - idle for value in medians[:2]))
    if arguments.at_most_ms is not None and longest > arguments.at_most_ms:
        print(f"{longest:.1f} ms more than {arguments.at_most_ms}", file=sys.stderr)
        sys.exit(1)


main()
