#!/usr/bin/env python3
"""The two searches of CLIP-as-service's tour, with its own client, on a running clipdb.

    search.py pictures FOLDER WORDS...      search images by words
    search.py sentences TEXT IMAGE...       search sentences (one per line) by an image
    search.py profile                       show how long each part of a round trip takes

CLIP_SERVER is the address for the client (grpc://127.0.0.1:51000), CLIPDB_SERVER the address of
the same server's REST API (http://127.0.0.1:8080).
"""

import json
import os
import sys
import urllib.request
from pathlib import Path

os.environ.setdefault('NO_VERSION_CHECK', '1')

from clip_client import Client
from docarray import Document, DocumentArray

SERVER = os.environ.get('CLIP_SERVER', 'grpc://127.0.0.1:51000')
REST = os.environ.get('CLIPDB_SERVER', 'http://127.0.0.1:8080')
PICTURES = {'.jpg', '.jpeg', '.png', '.webp', '.gif', '.bmp', '.tif', '.tiff'}


def collection(name):
    """Creates the collection unless it exists; the client has no call for this."""
    request = urllib.request.Request(f'{REST}/collections/{name}', method='PUT')
    urllib.request.urlopen(request).close()
    return {'collection': name}


def show(query, limit=5):
    for match in query.matches[:limit]:
        print(f"  {match.scores['cosine'].value:.3f}  {match.text or match.uri}")


def pictures(folder, *words):
    """An image's id is its path, so a second run stores nothing twice."""
    parameters = collection('clip-client-pictures')
    found = DocumentArray(
        Document(id=str(path.relative_to(folder)), uri=str(path))
        for path in sorted(Path(folder).rglob('*')) if path.suffix.lower() in PICTURES
    )
    client = Client(SERVER)
    client.index(found, show_progress=True, parameters=dict(parameters))
    question = ' '.join(words) or 'a happy potato'
    print(f'"{question}"')
    show(client.search([question], parameters=dict(parameters))[0])


def sentences(text, *questions):
    parameters = collection('clip-client-sentences')
    lines = Path(text).read_text(encoding='utf-8').splitlines()
    found = DocumentArray(
        Document(id=f'{Path(text).name}:{number}', text=line)
        for number, line in enumerate(lines, 1) if line.strip()
    )
    client = Client(SERVER)
    client.index(found, batch_size=32, show_progress=True, parameters=dict(parameters))
    for image in questions:
        print(Path(image).name)
        show(client.search([Document(uri=image)], parameters=dict(parameters))[0])


def profile():
    print(json.dumps(Client(SERVER).profile('a happy potato'), indent=2))


if __name__ == '__main__':
    commands = {'pictures': pictures, 'sentences': sentences, 'profile': profile}
    if len(sys.argv) < 2 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    commands[sys.argv[1]](*sys.argv[2:])
