"""The networks whose weights stay as they are, on OpenVINO: E5, USE and, as a teacher, clipdb-mini's MiniLM.

OpenVINO multiplies in bf16 where the CPU has instructions for it (cosine to f32 over 0.999).
"""

import numpy as np
import openvino
from openvino import opset13 as op
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from e5file import LAYERS, PARTS, WIDTH, E5File
from paths import MINI, USE_FILES
from tokenizers_of import LONGEST, USE_UNKNOWN, e5_tokenizer, loaded, use_tokenizer

HEADS = 12
EPSILON = 1e-12
SETTINGS = {"INFERENCE_NUM_THREADS": 2, "INFERENCE_PRECISION_HINT": "bf16"}
TOKENS = 8192  # of a batch
MINI_LAYERS = 6
USE_WIDTH = 512
USE_BRANCHES = ((2, 0), (3, 1), (5, 2))  # n-grams, and how many of their tokens lie to the left
USE_BRANCH_WIDTH = 256
USE_STEPS = 17  # the table's rows have steps and lows by their number modulo this


def const(array):
    return op.constant(np.ascontiguousarray(array, np.float32))


def whole(*numbers):
    return op.constant(np.array(numbers, np.int64))


def standardised(x):
    return op.mvn(x, whole(2), True, EPSILON, "inside_sqrt")


def bert_graph(layers, means, states=None):
    """States [n, t, 384] and mask [n, t] -> token means after each number of layers in `means`; and the states after
    `states` layers."""
    x = first = op.parameter([-1, -1, WIDTH], np.float32)
    mask = op.parameter([-1, -1], np.float32)
    bias = op.unsqueeze(op.multiply(op.subtract(mask, const(1.0)), const(1e9)), whole(1, 2))
    column = op.unsqueeze(mask, whole(2))
    count = op.reduce_sum(mask, whole(1), keep_dims=True)
    mean = lambda x: op.divide(op.reduce_sum(op.multiply(x, column), whole(1)), count)
    heads = lambda x: op.transpose(op.reshape(x, whole(0, 0, HEADS, WIDTH // HEADS), True), whole(0, 2, 1, 3))
    after = [x]
    for layer in layers:
        w = {part: const(array) for part, array in layer.items()}
        norm = lambda x, part: op.add(op.multiply(standardised(x), w[f"{part}.w"]), w[f"{part}.b"])
        linear = lambda x, part: op.add(op.matmul(x, w[f"{part}.w"], False, True), w[f"{part}.b"])
        q, k, v = (heads(linear(x, part)) for part in "qkv")
        scores = op.multiply(op.matmul(q, k, False, True), const((WIDTH // HEADS) ** -0.5))
        mixed = op.matmul(op.softmax(op.add(scores, bias), 3), v, False, False)
        mixed = op.reshape(op.transpose(mixed, whole(0, 2, 1, 3)), whole(0, 0, WIDTH), True)
        x = norm(op.add(x, linear(mixed, "ao")), "aln")
        x = norm(op.add(x, linear(op.gelu(linear(x, "fi"), "erf"), "fo")), "oln")
        after.append(x)
    outputs = [mean(after[number]) for number in means] + ([after[states]] if states else [])
    return openvino.Model(outputs, [first, mask])


def compiled(graph):
    return openvino.compile_model(graph, "CPU", SETTINGS)


def batches(lengths, tokens=TOKENS):
    """Numbers of texts, the shortest first, in batches of about so many tokens with what fills their rows up."""
    order = np.argsort(lengths, kind="stable")
    while len(order):
        rows = order[: max(1, tokens // lengths[order[0]])]
        while len(rows) > 1 and len(rows) * lengths[rows[-1]] > tokens * 1.3:
            rows = rows[: len(rows) * 3 // 4]
        yield rows
        order = order[len(rows) :]


def masks(lengths):
    return np.arange(max(lengths))[None] < np.asarray(lengths)[:, None]


def filled(rows):
    """Token numbers as one array; what it is filled up with is masked."""
    out = np.zeros((len(rows), max(map(len, rows))), np.int64)
    for line, ids in zip(out, rows):
        line[: len(ids)] = ids
    return out


class Bert:
    """A text network of 384 numbers a token. `words` gives the rows of its table by token numbers."""

    def __init__(self, words, positions, norm, layers, tokenizer, means, states=None):
        self.words, self.positions, self.norm = words, positions, norm
        self.tokenizer = tokenizer
        self.means, self.has_states = means, states is not None
        self.network = compiled(bert_graph(layers, means, states))

    def first_states(self, ids):
        x = self.words(ids) + self.positions[: ids.shape[1]]
        x -= x.mean(2, keepdims=True)
        x /= np.sqrt((x * x).mean(2, keepdims=True) + EPSILON)
        return x * self.norm[0] + self.norm[1]

    def __call__(self, texts, prompt=""):
        """Token means [n, means, 384] and states [tokens, 384], both f16; where each text begins [n + 1]."""
        encoded = [one.ids for one in self.tokenizer.encode_batch([prompt + text for text in texts])]
        lengths = np.array([len(ids) for ids in encoded])
        begin = np.concatenate(([0], np.cumsum(lengths)))
        means = np.empty((len(texts), len(self.means), WIDTH), np.float16)
        states = np.empty((begin[-1] if self.has_states else 0, WIDTH), np.float16)
        for rows in batches(lengths):
            mask = masks(lengths[rows])
            found = self.network([self.first_states(filled([encoded[row] for row in rows])), mask.astype(np.float32)])
            for number in range(len(self.means)):
                means[rows, number] = found[number]
            if self.has_states:
                places = begin[rows][:, None] + np.arange(mask.shape[1])
                states[places[mask]] = found[len(self.means)][mask]
        return means, states, begin


def e5(means, states=None, layers=LAYERS):
    file = E5File()
    words = lambda ids: file.rows("emb.word", ids, WIDTH)
    positions = file.tensor("emb.pos", WIDTH) + file.tensor("emb.type", WIDTH)[0]
    norm = file.tensor("emb.ln.w"), file.tensor("emb.ln.b")
    return Bert(words, positions, norm, [file.layer(n) for n in layers], loaded(e5_tokenizer()), means, states)


def mini():
    state = {name: tensor.astype(np.float32) for name, tensor in load_file(MINI / "text.safetensors").items()}
    tensor = lambda name: state[f"text_model.{name}"]
    table = tensor("embeddings.word_embeddings.weight")
    positions = tensor("embeddings.position_embeddings.weight") + tensor("embeddings.token_type_embeddings.weight")[0]
    norm = tensor("embeddings.LayerNorm.weight"), tensor("embeddings.LayerNorm.bias")
    layers = [
        {
            f"{part}.{kind[0]}": tensor(f"encoder.layer.{number}.{name}.{kind}")
            for part, name in PARTS.items()
            for kind in ("weight", "bias")
        }
        for number in range(MINI_LAYERS)
    ]
    tokenizer = Tokenizer.from_file(str(MINI / "tokenizer.json"))
    tokenizer.enable_truncation(LONGEST)
    tokenizer.no_padding()
    return Bert(lambda ids: table[ids], positions, norm, layers, tokenizer, (MINI_LAYERS,))


def use_graph(w):
    """Embeddings [n, t, 512] and mask [n, t] -> [n, 512], L2. What lies outside of a text is zero in the n-grams."""
    embedded = op.parameter([-1, -1, USE_WIDTH], np.float32)
    mask = op.parameter([-1, -1], np.float32)
    column = op.unsqueeze(mask, whole(2))
    length = op.reduce_sum(mask, whole(1), keep_dims=True)
    norm = lambda x, gain, bias: op.add(op.multiply(standardised(x), const(gain)), const(bias))
    times = lambda x, weight: op.matmul(x, const(weight), False, False)
    joined = lambda kind: np.concatenate([w[kind.format(n)] for n, _ in USE_BRANCHES], -1)

    def grams(x, n, left):
        x = op.pad(op.multiply(x, column), whole(0, left, 0), whole(0, n - 1 - left, 0), "constant", np.float32(0))
        ends = [whole(k - (n - 1)) if k < n - 1 else whole(2**31) for k in range(n)]
        return op.concat([op.slice(x, whole(k), end, whole(1), whole(1)) for k, end in enumerate(ends)], 2)

    x = norm(op.add(times(embedded, joined("proj{}")), const(joined("proj_b{}"))), joined("ln_g{}"), joined("ln_b{}"))
    parts = [embedded]
    for number, (n, left) in enumerate(USE_BRANCHES):
        first = USE_BRANCH_WIDTH * number
        y = op.slice(x, whole(first), whole(first + USE_BRANCH_WIDTH), whole(1), whole(2))
        for layer in (1, 2):
            inner = op.add(times(grams(y, n, left), w[f"w{layer}_{n}"]), const(w[f"b{layer}_{n}"]))
            y = op.add(y, op.relu(inner))
        parts.append(y)
    features = op.multiply(norm(op.concat(parts, 2), w["ln_g"], w["ln_b"]), column)
    total = op.add(times(op.reduce_sum(features, whole(1)), w["cnn_W"]), op.multiply(length, const(w["cnn_b"])))
    mean = op.divide(total, op.sqrt(length))
    y0 = op.relu(times(mean, w["d0"]))
    y1 = op.relu(op.add(times(mean, w["p1"]), times(y0, w["d1"])))
    z = op.tanh(op.add(times(y1, w["p3"]), times(op.relu(times(y1, w["d2"])), w["d3"])))
    square = op.maximum(op.reduce_sum(op.multiply(z, z), whole(1), keep_dims=True), const(EPSILON))
    return openvino.Model([op.divide(z, op.sqrt(square))], [embedded, mask])


def readable(ids):
    """How much of a text USE can read, 0 to 1: nothing if a third of its tokens are unknown."""
    inner = ids[1:-1]
    return max(0.0, 1 - 3 * inner.count(USE_UNKNOWN) / max(1, len(inner)))


class Use:
    """universal-sentence-encoder-multilingual v3."""

    def __init__(self):
        with np.load(USE_FILES / "weights.npz") as file:
            w = {name: file[name] for name in file.files}
        self.table = np.stack([w[f"q{n + 1}"] for n in range(USE_STEPS)], 1).reshape(-1, USE_WIDTH)
        self.step, self.low = w["scale"], w["lo"]
        self.network = compiled(use_graph(w))
        self.tokenizer = loaded(use_tokenizer())

    def embedded(self, ids):
        part = ids % USE_STEPS
        return self.table[ids] * self.step[part][..., None] + self.low[part][..., None]

    def __call__(self, texts):
        """Vectors [n, 512] f16, and how much of each text USE can read [n]."""
        encoded = [one.ids for one in self.tokenizer.encode_batch(texts)]
        lengths = np.array([len(ids) for ids in encoded])
        out = np.empty((len(texts), USE_WIDTH), np.float16)
        for rows in batches(lengths, TOKENS // 2):
            ids = filled([encoded[row] for row in rows])
            out[rows] = self.network([self.embedded(ids), masks(lengths[rows]).astype(np.float32)])[0]
        return out, np.array([readable(ids) for ids in encoded], np.float32)
