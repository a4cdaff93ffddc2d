"""Measures the throughput of CLIP-as-service's client, and the memory of idle clients.

    bench.py rates METRICS URL...   texts and images per second, and the time of a request by
                                    stage, from the server's METRICS (http://…/metrics); the
                                    profile() tree
    bench.py idle ADDRESS PID [N]   the memory of process PID before and with N open gRPC streams
    bench.py idle-websockets ADDRESS PID [N]   the same with N WebSockets

Run it by hand against a server with no other load. Python uses the same cores.
"""

import asyncio
import os
import re
import sys
import time
import urllib.request

os.environ.update(NO_VERSION_CHECK='1', JINA_OPTOUT_TELEMETRY='1', JINA_LOG_LEVEL='ERROR')

PICTURE = os.path.join(
    os.path.dirname(__file__), '../../models/clipdb-mini/golden/umbrella.png'
)
BATCHES, CLIENTS = (1, 8, 64), (1, 4, 16)
SECONDS = 4


async def rate(url, make, batch, clients):
    """Inputs per second of `clients` without a pause, and the mean seconds of a request."""
    from clip_client import Client

    calls, waited, until = 0, 0.0, time.perf_counter() + SECONDS

    async def ask():
        nonlocal calls, waited
        client = Client(url)
        while time.perf_counter() < until:
            begun = time.perf_counter()
            await client.aencode(make(batch), batch_size=batch)
            waited += time.perf_counter() - begun
            calls += 1

    begun = time.perf_counter()
    await asyncio.gather(*(ask() for _ in range(clients)))
    return calls * batch / (time.perf_counter() - begun), waited / calls


def seen(metrics):
    """The server's sums and counts by metric name, over all labels."""
    with urllib.request.urlopen(metrics) as answer:
        text = answer.read().decode()
    found = {}
    for name, value in re.findall(r'^(\w+)(?:\{.*\})? (\S+)$', text, re.MULTILINE):
        found[name] = found.get(name, 0.0) + float(value)
    return found


def split(before, after, kind, waited):
    """Milliseconds of a request: client and transport, preprocessing, queue, model. The queue and
    model times are means over inputs, and inputs share batches."""

    def mean(name):
        count = after[f'{name}_count'] - before.get(f'{name}_count', 0)
        return 1e3 * (after[f'{name}_sum'] - before.get(f'{name}_sum', 0)) / max(count, 1)

    queue, model = mean(f'clipdb_{kind}_queue_seconds'), mean(f'clipdb_{kind}_model_seconds')
    server = mean('jina_process_request_seconds')
    return [1e3 * waited - server, max(server - queue - model, 0.0), queue, model]


def rates(metrics, urls):
    from clip_client import Client
    from docarray import Document

    with open(PICTURE, 'rb') as file:
        picture = file.read()
    kinds = {
        'texts': lambda batch: [f'sentence number {number}' for number in range(batch)],
        'pictures': lambda batch: [Document(blob=picture) for _ in range(batch)],
    }
    for url in urls:
        print(f'\n{url}\n\n| inputs | in a request | clients | inputs a second '
              '| client and transport ms | made ready ms | queue ms | model ms |')
        print('| --- ' * 8 + '|')
        for kind, make in kinds.items():
            for batch in BATCHES:
                for clients in CLIENTS:
                    before = seen(metrics)
                    speed, waited = asyncio.run(rate(url, make, batch, clients))
                    one = 'text' if kind == 'texts' else 'image'
                    parts = split(before, seen(metrics), one, waited)
                    print(f'| {kind} | {batch} | {clients} | {speed:.0f} | '
                          + ' | '.join(f'{part:.1f}' for part in parts) + ' |', flush=True)
        client = Client(url)
        for content in ('', 'a happy potato', PICTURE):
            client.profile(content)
            client.profile(content)


def resident(pid):
    with open(f'/proc/{pid}/status') as status:
        line = next(line for line in status if line.startswith('VmRSS'))
    return int(line.split()[1]) / 1024


async def idle(address, pid, count):
    import grpc

    before = resident(pid)
    calls = []
    for _ in range(count):
        channel = grpc.aio.insecure_channel(
            address, options=[('grpc.use_local_subchannel_pool', 1)],
        )
        call = channel.stream_stream('/jina.JinaRPC/Call')()
        calls.append((channel, call))
    # Each has its answer's head: the server has the stream.
    for channel, call in calls:
        await call.initial_metadata()
    await asyncio.sleep(2)
    during = resident(pid)
    print(f'{count} idle streams: {before:.0f} MiB before, {during:.0f} MiB with them')
    for channel, call in calls:
        # One that is left open keeps grpc from letting the process end.
        call.cancel()
        await channel.close()
    await asyncio.sleep(2)
    print(f'{resident(pid):.0f} MiB after')


async def idle_websockets(address, pid, count):
    import aiohttp

    before = resident(pid)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        sockets = [await session.ws_connect(f'ws://{address}/') for _ in range(count)]
        await asyncio.sleep(2)
        print(f'{count} idle WebSockets: {before:.0f} MiB before, {resident(pid):.0f} MiB with them')
        for socket in sockets:
            await socket.close()
    await asyncio.sleep(2)
    print(f'{resident(pid):.0f} MiB after')


def main():
    if sys.argv[1:2] == ['rates'] and len(sys.argv) > 3:
        rates(sys.argv[2], sys.argv[3:])
    elif sys.argv[1:2] == ['idle-websockets'] and len(sys.argv) > 3:
        asyncio.run(idle_websockets(sys.argv[2], sys.argv[3], int((sys.argv[4:] or ['1000'])[0])))
    elif sys.argv[1:2] == ['idle'] and len(sys.argv) > 3:
        asyncio.run(idle(sys.argv[2], sys.argv[3], int((sys.argv[4:] or ['1000'])[0])))
    else:
        sys.exit(__doc__)


main()
