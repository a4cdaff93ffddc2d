#!/usr/bin/env python3
"""Two classics of CLIP-as-service, with its own client, on a running clipdb.

    search.py pictures FOLDER WORDS...      pictures by words
    search.py sentences TEXT PICTURE...     sentences (one a line) by a picture
    search.py profile                       where a round trip's time goes

CLIP_SERVER is what the client is given (grpc://127.0.0.1:51000), CLIPDB_SERVER the address
of the same server's REST API (http://127.0.0.1:8080).
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
    """Makes the collection where it is not there; the client has no call for it."""
    request = urllib.request.Request(f'{REST}/collections/{name}', method='PUT')
    urllib.request.urlopen(request).close()
    return {'collection': name}


def show(query, limit=5):
    for match in query.matches[:limit]:
        print(f"  {match.scores['cosine'].value:.3f}  {match.text or match.uri}")


def pictures(folder, *words):
    """A picture's id is its place, so that a second run stores nothing twice."""
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
    for picture in questions:
        print(Path(picture).name)
        show(client.search([Document(uri=picture)], parameters=dict(parameters))[0])


def profile():
    print(json.dumps(Client(SERVER).profile('a happy potato'), indent=2))


if __name__ == '__main__':
    commands = {'pictures': pictures, 'sentences': sentences, 'profile': profile}
    if len(sys.argv) < 2 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    commands[sys.argv[1]](*sys.argv[2:])
