"""How fast CLIP-as-service's client gets its answers, and what idle clients cost.

    bench.py rates URL...           texts and pictures per second, and the profile() tree
    bench.py idle ADDRESS PID [N]   memory of process PID before and with N open streams

Run by hand against a server of its own; Python takes its share of the same cores.
"""

import asyncio
import os
import sys
import time

os.environ.update(NO_VERSION_CHECK='1', JINA_OPTOUT_TELEMETRY='1', JINA_LOG_LEVEL='ERROR')

PICTURE = os.path.join(
    os.path.dirname(__file__), '../../models/clipdb-mini/golden/umbrella.png'
)
BATCHES, CLIENTS = (1, 8, 64), (1, 4, 16)
SECONDS = 4


async def rate(url, make, batch, clients):
    """Inputs answered per second while `clients` ask without a pause."""
    from clip_client import Client

    answered, until = 0, time.perf_counter() + SECONDS

    async def ask():
        nonlocal answered
        client = Client(url)
        while time.perf_counter() < until:
            await client.aencode(make(batch), batch_size=batch)
            answered += batch

    begun = time.perf_counter()
    await asyncio.gather(*(ask() for _ in range(clients)))
    return answered / (time.perf_counter() - begun)


def rates(urls):
    from clip_client import Client
    from docarray import Document

    with open(PICTURE, 'rb') as file:
        picture = file.read()
    kinds = {
        'texts': lambda batch: [f'sentence number {number}' for number in range(batch)],
        'pictures': lambda batch: [Document(blob=picture) for _ in range(batch)],
    }
    for url in urls:
        print(f'\n{url}\n\n| inputs | in a request | 1 client | 4 clients | 16 clients |')
        print('| --- | --- | --- | --- | --- |')
        for kind, make in kinds.items():
            for batch in BATCHES:
                row = [asyncio.run(rate(url, make, batch, clients)) for clients in CLIENTS]
                print(f'| {kind} | {batch} | ' + ' | '.join(f'{one:.0f}' for one in row) + ' |')
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
        await channel.close()
    await asyncio.sleep(2)
    print(f'{resident(pid):.0f} MiB after')


def main():
    if sys.argv[1:2] == ['rates'] and len(sys.argv) > 2:
        rates(sys.argv[2:])
    elif sys.argv[1:2] == ['idle'] and len(sys.argv) > 3:
        asyncio.run(idle(sys.argv[2], sys.argv[3], int((sys.argv[4:] or ['1000'])[0])))
    else:
        sys.exit(__doc__)


main()
