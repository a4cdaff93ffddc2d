"""Calls a clipdb server with CLIP-as-service's own client, and checks the responses.

    calls.py URL REST [NAME...]

URL is what the client is given (grpc://, http://, ws:// or one of them with TLS), REST the
address of the same server's REST API, each NAME a check below; without any, all run.
"""

import asyncio
import base64
import json
import os
import sys
import tempfile
import time
import traceback
import urllib.error
import urllib.request

os.environ.update(NO_VERSION_CHECK='1', JINA_OPTOUT_TELEMETRY='1', JINA_LOG_LEVEL='ERROR')

import numpy as np
from clip_client import Client
from docarray import Document, DocumentArray
from PIL import Image

URL, REST = sys.argv[1], sys.argv[2]
PROTOCOL = URL.split(':')[0]
MODEL = 'clipdb-multilingual'
KEY = os.environ.get('KEY')
TEXTS = ['a happy potato', 'a ferry in the harbour', 'snow on the mountains']
FOLDER = tempfile.mkdtemp()


def client():
    return Client(URL, credential={'Authorization': KEY} if KEY else {})


def rest(method, path, body=None):
    request = urllib.request.Request(REST + path, method=method)
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header('content-type', 'application/json')
    if KEY:
        request.add_header('authorization', f'Bearer {KEY}')
    with urllib.request.urlopen(request) as answer:
        return json.loads(answer.read() or 'null')


def picture(name, colour, size=(64, 48)):
    path = os.path.join(FOLDER, name)
    Image.new('RGB', size, colour).save(path)
    return path


RED, BLUE = picture('red.png', (220, 20, 20)), picture('blue.jpg', (20, 20, 220))
DRAWINGS = os.path.join(os.path.dirname(__file__), '../../models/clipdb-mini/golden')
APPLE, CASTLE, UMBRELLA = (
    os.path.join(DRAWINGS, name) for name in ('red-apple.png', 'castle.png', 'umbrella.png')
)


def data_uri(path):
    with open(path, 'rb') as file:
        return 'data:image/png;base64,' + base64.b64encode(file.read()).decode()


def unit(vectors):
    vectors = np.asarray(vectors, dtype=np.float64)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def by_rest(*inputs):
    """The vectors of the REST API, of length 1."""
    items = [
        {'image': {'base64': base64.b64encode(open(one, 'rb').read()).decode()}}
        if os.path.exists(one) else {'text': one}
        for one in inputs
    ]
    return np.array(rest('POST', '/encode', {'inputs': items})['vectors'])


def same(found, *inputs):
    # The client converts the lists of numbers in JSON to doubles.
    assert found.dtype == (np.float64 if PROTOCOL.startswith('http') else np.float32)
    wanted = by_rest(*inputs)
    assert found.shape == wanted.shape, (found.shape, wanted.shape)
    difference = np.abs(unit(found) - wanted).max()
    assert difference < 1e-4, difference


def fails(call, *words):
    try:
        call()
    except Exception as error:
        # Over WebSocket the client replaces the error of a failed request by this one of its own.
        text = str(error)
        hidden = PROTOCOL.startswith('ws') and 'Empty embedding returned' in text
        assert hidden or all(word in text for word in words), text
    else:
        raise AssertionError('no exception')


def the_flow_is_ready():
    assert client()._client.is_flow_ready() is True


# encode

def encode_texts():
    found = client().encode(TEXTS)
    assert isinstance(found, np.ndarray)
    same(found, *TEXTS)


def encode_is_not_normalised():
    lengths = np.linalg.norm(client().encode(TEXTS + [RED]), axis=1)
    assert np.abs(lengths - 1).max() > 0.01, lengths


def encode_files_and_data_uris():
    found = client().encode([RED, BLUE, data_uri(RED)])
    same(found, RED, BLUE, RED)


def encode_mixed_keeps_the_order():
    mixed = [TEXTS[0], RED, TEXTS[1], BLUE, data_uri(RED), TEXTS[2]]
    found = client().encode(mixed, batch_size=2)
    same(found, TEXTS[0], RED, TEXTS[1], BLUE, RED, TEXTS[2])


def encode_documents_are_the_same_objects():
    inputs = DocumentArray([
        Document(text=TEXTS[0], tags={'n': 1}),
        Document(uri=RED),
        Document(uri=BLUE).load_uri_to_blob(),
        Document(id='mine', text=TEXTS[1], uri='beside/the/text.png'),
        Document(uri=RED).load_uri_to_image_tensor(),
    ])
    inputs[4].uri = None
    found = client().encode(inputs)
    assert isinstance(found, DocumentArray) and len(found) == 5
    for sent, back in zip(inputs, found):
        assert sent is back
    assert inputs[3].id == 'mine' and inputs[0].tags['n'] == 1
    same(found.embeddings, TEXTS[0], RED, BLUE, TEXTS[1], RED)


def encode_tensors_of_every_type_and_shape():
    pixels = np.array(Image.open(RED))
    tensors = [pixels.astype(dtype) for dtype in ('<f2', '>u2', '>f4', '>i4', '>f8', '<i8', '|u1')]
    tensors += [pixels[None], pixels[..., None]]
    found = client().encode(DocumentArray([Document(tensor=tensor) for tensor in tensors]))
    same(found.embeddings, *[RED] * len(tensors))
    flags = pixels > 100
    both = client().encode(DocumentArray([
        Document(tensor=flags), Document(tensor=flags.astype(np.uint8)),
    ]))
    assert np.abs(both.embeddings[0] - both.embeddings[1]).max() < 1e-5


def encode_a_list_of_documents():
    inputs = [Document(text=text) for text in TEXTS]
    found = client().encode(inputs, batch_size=1)
    assert [back is sent for sent, back in zip(inputs, found)] == [True] * 3
    same(found.embeddings, *TEXTS)


def encode_a_generator():
    found = client().encode((text for text in TEXTS), batch_size=2)
    assert isinstance(found, DocumentArray)
    same(found.embeddings, *TEXTS)
    again = client().encode(Document(text=text) for text in TEXTS)
    same(again.embeddings, *TEXTS)


def encode_many_in_small_batches():
    texts = [f'sentence number {number}' for number in range(64)]
    for prefetch in (1, 4, 100):
        found = client().encode(texts, batch_size=3, prefetch=prefetch)
        assert found.shape[0] == 64
        if prefetch == 1:
            first = found
        assert np.abs(unit(found) - unit(first)).max() < 1e-4
    same(first, *texts)


def encode_nothing():
    assert client().encode([]) == []
    assert len(client().encode(DocumentArray())) == 0


def encode_with_progress():
    same(client().encode(TEXTS, show_progress=True), *TEXTS)


def encode_with_callbacks():
    done, always = [], []
    outcome = client().encode(
        TEXTS, batch_size=2,
        on_done=lambda response: done.append(response.data.docs.embeddings.shape),
        on_always=lambda response: always.append(len(response.data.docs)),
    )
    assert outcome is None
    assert sorted(done) == sorted([(2, done[0][1]), (1, done[0][1])]), done
    assert sorted(always) == [1, 2], always


def encode_chunks():
    root = Document(chunks=[Document(text=TEXTS[0]), Document(uri=RED).load_uri_to_blob()])
    root.text = 'the root'
    found = []
    client().encode(
        [root], parameters={'access_paths': '@c'},
        on_done=lambda response: found.append(response.data.docs[0]),
    )
    assert found[0].embedding is None
    same(np.stack([chunk.embedding for chunk in found[0].chunks]), TEXTS[0], RED)


def encode_keeps_the_picture_where_asked():
    found = []
    for drop in (True, False):
        client().encode(
            [Document(uri=RED)], parameters={'drop_image_content': drop},
            on_done=lambda response: found.append(response.data.docs[0]),
        )
    assert not found[0].blob
    with open(RED, 'rb') as file:
        assert found[1].blob == file.read()


def encode_with_a_model():
    same(client().encode(TEXTS, parameters={'model_name': MODEL}), *TEXTS)
    unknown = lambda: client().encode(TEXTS, parameters={'model_name': 'ViT-none'})
    fails(unknown, 'ViT-none', MODEL)


def encode_asynchronously():
    async def both():
        one, other = client(), client()
        return await asyncio.gather(
            one.aencode(TEXTS, batch_size=1), other.aencode([RED, TEXTS[0]]),
        )
    texts, mixed = asyncio.run(both())
    same(texts, *TEXTS)
    same(mixed, RED, TEXTS[0])
    named = client().aencode(TEXTS, parameters={'model_name': MODEL})
    same(asyncio.run(named), *TEXTS)


def a_call_ends_with_its_answer():
    """A call must not wait for the timeout of its connection. One of several is fast, however busy
    the machine is."""
    took = []
    for _ in range(5):
        begun = time.perf_counter()
        client().encode(TEXTS[:1])
        took.append(time.perf_counter() - begun)
    assert min(took) < 0.5, took


def encode_a_large_picture():
    noise = np.random.default_rng(7).integers(0, 256, (2000, 1600, 3), dtype=np.uint8)
    path = os.path.join(FOLDER, 'noise.png')
    Image.fromarray(noise).save(path)
    assert os.path.getsize(path) > 9_000_000
    found = client().encode([path, TEXTS[0]])
    wanted = by_rest(path, TEXTS[0])
    assert np.abs(unit(found) - wanted).max() < 1e-4


def a_broken_picture_is_an_error():
    broken = Document(id='broken', blob=b'no picture', mime_type='image/png')
    fails(lambda: client().encode([broken]), 'invalid_image', 'broken')
    seen = []
    outcome = lambda: client().encode(
        [broken],
        on_error=lambda response: seen.append(response.header.status.description),
        on_always=lambda response: seen.append('always'),
    )
    outcome()
    assert len(seen) == 2 and 'invalid_image' in seen[0] and seen[1] == 'always', seen


def a_path_or_url_is_not_followed():
    """This client loads URIs itself; another one could send them."""
    sender = client()._client
    for uri, code in [('/etc/hostname', 'path_refused'), ('http://127.0.0.1:1/', 'url_ingest_disabled')]:
        seen = []
        sender.post(
            '/encode', DocumentArray([Document(uri=uri)]),
            on_error=lambda response: seen.append(response.header.status.description),
            **credential(),
        )
        assert len(seen) == 1 and code in seen[0], seen


def credential():
    if not KEY or PROTOCOL.startswith('ws'):
        return {}
    if PROTOCOL.startswith('grpc'):
        return {'metadata': (('authorization', KEY),)}
    return {'headers': {'Authorization': KEY}}


def any_other_endpoint_encodes():
    found = client()._client.post(
        '/whatever', DocumentArray([Document(text=TEXTS[0])]), **credential(),
    )
    same(found.embeddings, TEXTS[0])


def wrong_use_is_the_client_s_error():
    for call in (client().encode, client().index, client().search, client().rank):
        try:
            call('one string')
        except TypeError:
            continue
        raise AssertionError(call)


# profile

def profile():
    for content in ('', TEXTS[0], RED):
        tree = client().profile(content)
        assert set(tree) == {
            'Roundtrip', 'Client-server network', 'Server', 'Gateway-CLIP network', 'CLIP model',
        }
        assert tree['Server'] >= 1 and tree['Gateway-CLIP network'] >= 0, tree
        assert tree['Roundtrip'] > 0 and tree['CLIP model'] >= 0, tree


# rank

def candidates():
    return Document(
        uri=APPLE,
        matches=[Document(text=text) for text in ('a castle', 'an apple', 'an umbrella')],
    )


def check_ranked(found, sent):
    assert len(found) == 1 and found[0] is sent
    scores = [match.scores['clip_score'].value for match in found[0].matches]
    cosines = [match.scores['clip_score_cosine'].value for match in found[0].matches]
    assert len(scores) == 3 and scores == sorted(scores, reverse=True), scores
    assert cosines == sorted(cosines, reverse=True), cosines
    assert abs(sum(scores) - 1) < 1e-4, scores
    query, *others = by_rest(APPLE, *[match.text for match in found[0].matches])
    assert np.abs(np.array(others) @ query - cosines).max() < 1e-4
    assert found[0].matches[0].text == 'an apple', found[0].matches[:, 'text']
    assert found[0].matches[0].scores['clip_score'].op_name == 'softmax'
    assert all(match.embedding is None for match in found[0].matches)


def rank():
    sent = candidates()
    check_ranked(client().rank([sent]), sent)


def rank_pictures_by_a_text():
    sent = Document(text='rain', matches=[Document(uri=CASTLE), Document(uri=UMBRELLA)])
    found = client().rank([sent], parameters={'model_name': MODEL})
    best = found[0].matches[0]
    assert best.uri == UMBRELLA and best.blob, best
    assert best.scores['clip_score'].value > 0.5


def rank_asynchronously():
    sent = candidates()
    check_ranked(asyncio.run(client().arank([sent])), sent)


def rank_an_empty_candidate():
    # The client would not send it.
    sent = DocumentArray([Document(text='a', matches=[Document(id='hollow')])])
    seen = []
    client()._client.post(
        '/rank', sent,
        on_error=lambda response: seen.append(response.header.status.description),
        **credential(),
    )
    assert len(seen) == 1 and 'empty_document' in seen[0] and 'hollow' in seen[0], seen


# index and search

def index_and_search():
    name = f'met-by-{PROTOCOL}'
    rest('PUT', f'/collections/{name}', {})
    parameters = lambda: {'collection': name}
    documents = DocumentArray([
        Document(id='cat', text='a cat asleep on a mat', tags={'year': 2024, 'tags': ['a', 'b']}),
        Document(id='boat', text='the ferry leaves the old harbour'),
        Document(id='red', uri=RED, tags={'kind': 'square'}),
    ])
    found = client().index(documents, parameters=parameters())
    assert [back is sent for sent, back in zip(documents, found)] == [True] * 3
    same(found.embeddings, 'a cat asleep on a mat', 'the ferry leaves the old harbour', RED)

    # The same documents over REST.
    stored = rest('GET', f'/collections/{name}/documents/cat')
    assert stored['metadata'] == {'year': 2024, 'tags': ['a', 'b']}, stored
    stored = rest('GET', f'/collections/{name}/documents/red')
    assert stored['image'] and stored['metadata'] == {'kind': 'square', 'uri': RED}, stored

    # The client reads its own writes.
    queries = client().search(['a sleeping pet', RED], parameters=parameters())
    assert [len(query.matches) for query in queries] == [3, 3]
    assert queries[0].matches[0].id == 'cat', queries[0].matches[:, 'id']
    best = queries[1].matches[0]
    assert best.id == 'red' and best.uri == RED, best
    assert best.tags['kind'] == 'square', best.tags
    assert best.scores['cosine'].value < 1e-3, best.scores
    cat = queries[0].matches[0]
    assert cat.text == 'a cat asleep on a mat' and cat.tags['year'] == 2024
    query, text = by_rest('a sleeping pet', cat.text)
    assert abs(cat.scores['cosine'].value - (1 - query @ text)) < 1e-4, cat.scores

    # And those of REST.
    rest('POST', f'/collections/{name}/documents', {'id': 'tea', 'text': 'a cup of hot tea'})
    tea = client().search(['something warm to drink'], limit=1, parameters=parameters())
    assert tea[0].matches[:, 'id'] == ['tea']

    # The same id replaces the document.
    client().index([Document(id='tea', text='an umbrella in the rain')], parameters=parameters())
    assert rest('GET', f'/collections/{name}/documents/tea')['text'] == 'an umbrella in the rain'
    assert rest('GET', f'/collections/{name}')['documents'] == 4


def index_and_search_the_default_collection():
    client().index([f'a note by {PROTOCOL}'])
    found = client().search([f'a note by {PROTOCOL}'], limit=1000)
    assert any(match.text == f'a note by {PROTOCOL}' for match in found[0].matches)
    hits = rest('GET', '/search?q=note&limit=1000')['hits']
    assert any(hit['text'] == f'a note by {PROTOCOL}' for hit in hits)


def index_and_search_asynchronously():
    async def both():
        await client().aindex([Document(id=f'a-{PROTOCOL}', text='written asynchronously')])
        return await client().asearch(['written asynchronously'], limit=5)
    found = asyncio.run(both())
    assert f'a-{PROTOCOL}' in found[0].matches[:, 'id']


def index_what_can_not_be_stored():
    seen = []
    client().index(
        [Document(id=f'good-{PROTOCOL}', text='good'), Document(id='bad', blob=b'no picture')],
        on_error=lambda response: seen.append(response.header.status.description),
    )
    assert len(seen) == 1 and "1 of 2" in seen[0] and "'bad'" in seen[0], seen
    assert rest('GET', f'/collections/default/documents/good-{PROTOCOL}')['text'] == 'good'


def search_in_what_is_not_there():
    fails(lambda: client().search(['a'], parameters={'collection': 'absent'}), 'collection_not_found', 'absent')


def search_with_a_filter():
    name = f'filtered-by-{PROTOCOL}'
    rest('PUT', f'/collections/{name}', {})
    documents = [
        Document(id=f'ferry-{year}', text=f'the ferry of {year}', tags={'year': year})
        for year in range(2018, 2024)
    ]
    client().index(documents, parameters={'collection': name})
    searched = lambda filter: client().search(
        ['a boat'], parameters={'collection': name, 'filter': filter}
    )[0].matches[:, 'id']
    found = searched({'year': {'$gte': 2021}})
    assert sorted(found) == ['ferry-2021', 'ferry-2022', 'ferry-2023'], found
    found = searched({'$or': [{'tags__year': {'$lt': 2019}}, {'year': {'$eq': 2022}}]})
    assert sorted(found) == ['ferry-2018', 'ferry-2022'], found
    wrong = {'year': {'$near': 2020}}
    fails(lambda: searched(wrong), '$near')


# a server with an API key

def the_key_is_asked_for():
    global KEY
    key, KEY = KEY, 'not-the-key'
    try:
        fails(lambda: client().encode(TEXTS), '')
        KEY = None
        fails(lambda: client().encode(TEXTS), '')
        fails(lambda: client().profile(), '')
    finally:
        KEY = key
    same(client().encode(TEXTS), *TEXTS)


def kept_out():
    for call in (lambda: client().encode(TEXTS), lambda: client().profile()):
        try:
            call()
        except Exception as error:
            assert '401' in str(error), error
        else:
            raise AssertionError('no exception')


LATER = {'the_key_is_asked_for', 'kept_out'}


def main():
    checks = {
        name: value for name, value in globals().items()
        if callable(value) and getattr(value, '__module__', None) == '__main__'
        and value.__code__.co_argcount == 0 and not value.__code__.co_flags & 4
        and name not in HELPERS | LATER
    }
    checks |= {name: globals()[name] for name in LATER if name in sys.argv[3:]}
    wanted = sys.argv[3:] or list(checks)
    failed = 0
    for name in wanted:
        try:
            checks[name]()
            print(f'passed {name}')
        except Exception:
            failed += 1
            print(f'FAILED {name}\n{traceback.format_exc()}')
    print(f'{len(wanted) - failed} passed, {failed} failed')
    sys.exit(1 if failed else 0)


HELPERS = {'main', 'client', 'credential', 'candidates'}

main()
