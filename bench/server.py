"""The real binary on a folder of its own, and requests on keep-alive connections."""

import base64
import http.client
import json
import os
import signal
import socket
import struct
import subprocess
import tempfile
import time

from speed import memory_of


class Server:
    def __init__(self, binary, folder, threads, keep_alive):
        self.binary, self.folder, self.keep_alive = binary, folder, keep_alive
        self.environment = dict(os.environ, CLIPDB_THREADS=str(threads), CLIPDB_LOG="warn")
        self.start()

    def start(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        started = time.perf_counter()
        self.process = subprocess.Popen(
            [self.binary, "serve", "--data", self.folder, "--listen", f"127.0.0.1:{self.port}"],
            env=self.environment,
            stdout=subprocess.DEVNULL,
        )
        while True:
            if self.process.poll() is not None:
                raise SystemExit(f"the server exited with {self.process.returncode}")
            try:
                if self.ask("GET", "/ready", check=False)[0] == 200:
                    return time.perf_counter() - started
            except OSError:
                pass
            time.sleep(0.01)

    def stop(self, kill=False):
        started = time.perf_counter()
        self.process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        self.process.wait()
        return time.perf_counter() - started

    def restart(self, kill=False):
        """Restarts it; returns the seconds from the start of the process until it is ready."""
        self.stop(kill)
        return self.start()

    def ask(self, method, path, body=None, kind="application/json", check=True):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=3600)
        if body is not None and not isinstance(body, bytes) and not hasattr(body, "__next__"):
            body = json.dumps(body).encode()
        headers = {"Content-Type": kind} if body is not None else {}
        connection.request(method, path, body, headers, encode_chunked=hasattr(body, "__next__"))
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        if check and answer.status >= 300:
            raise SystemExit(f"{method} {path} returned {answer.status}: {text[:500]!r}")
        return answer.status, json.loads(text) if text[:1] in (b"{", b"[") else text

    def ask_many(self, requests, connections):
        """Sends the requests on this many keep-alive connections. Returns the bodies of the
        responses, the seconds of each and the seconds of all together."""
        with tempfile.NamedTemporaryFile() as file:
            for request in requests:
                file.write(struct.pack("<I", len(request)) + request)
            file.flush()
            command = [self.keep_alive, f"127.0.0.1:{self.port}", str(connections), file.name]
            out = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
        (total,), at = struct.unpack_from("<Q", out), 8
        answers, seconds = [], []
        while at < len(out):
            microseconds, length = struct.unpack_from("<II", out, at)
            at += 8
            answers.append(out[at : at + length])
            seconds.append(microseconds / 1e6)
            at += length
        return answers, seconds, total / 1e6

    def memory(self):
        return memory_of(self.process.pid)

    def disk(self, under=""):
        return disk_of(os.path.join(self.folder, under))


def disk_of(folder):
    """Bytes on disk of the files in a folder."""
    total = 0
    for inside, _, files in os.walk(folder):
        for name in files:
            try:
                total += os.stat(os.path.join(inside, name)).st_blocks * 512
            except FileNotFoundError:
                pass
    return total


def search_request(collection, vector, **fields):
    encoded = base64.b64encode(vector.tobytes()).decode()
    body = json.dumps({"vector": encoded, **fields}).encode()
    head = (
        f"POST /collections/{collection}/search HTTP/1.1\r\nHost: bench\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
