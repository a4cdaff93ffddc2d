"""Trains the text side on kept features (features.py). Usage, in this order:

train.py sum                                            the untrained sum: SIDES/sum.npz
train.py head                                           the head on frozen networks, from the sum on: SIDES/head.npz
train.py between NAME SHARE                             SIDES/NAME-SHARE.npz, so much of the way from the sum to NAME
train.py layers START [--name layers] [--rate 1e-4] [--steps 200] [--minutes M] [--seed 1]
                                                        E5's upper layers with the head, from START on

The pull to the sum's vectors is strong, and what ships lies between the sum and a trained side: left to itself,
training fits the words of dictionaries and forgets sentences and passages.
"""

import argparse
import collections
import functools
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax

import model
from draws import LONG, SHORT, Draws, joined, same, taught
from e5file import WIDTH
from features import kept, load

DIMENSIONS = 576
HIDDEN = 1024
SUM_ENGLISH, SUM_FOREIGN = 14000, 10000  # texts that the sum's means and directions are made from
HEAT = 0.05  # of every softmax over cosines
DROPOUT = 0.1
PULL = 1.5  # weight of 1 - cosine to the untrained sum's vector; 0.3 forgot phrases and passages
LONG_PULL = {"head": 0.75, "layers": 0.3}  # the same for sentences and passages
BETA = 0.98  # of Adam's second moment: there are few steps
CLIP = 2.0

HEAD_STEPS, HEAD_RATE, HEAD_DECAY = 420, 4e-4, 1e-3
HEAD_SIZES = {"foreign": 448, "english-templated": 192, "messages": 192, "glosses": 128, "related": 96, "passages": 160}
# A step of the layers has as many texts as two cores go through in two seconds. The last of three has passages.
LAYER_SIZES = {"foreign": 160, "english-templated": 44, "messages": 48, "glosses": 32, "related": 28, "passages": 32}
SHORT_ROWS = (140, 32)  # rows and tokens that the short texts are packed in
LONG_ROWS = (28, 128)
HEAD_FASTER = 4.0  # the head's rate by the layers'
WARM_UP = 30
LEAST_RATE = 0.03  # of the rate, at the end


def relational(vectors, t):
    """How far each text's neighbours in the batch are from those that the teacher gives it."""
    itself = jnp.eye(len(vectors)) * 1e4
    known = jax.nn.softmax((model.times(t, t.T) - itself) / HEAT, 1)
    found = jax.nn.log_softmax((model.times(vectors, vectors.T) - itself) / HEAT, 1)
    return (known * (jnp.log(known + 1e-9) - found)).sum(1).mean()


def contrast(a, b, alike):
    """InfoNCE both ways, without the pairs off the diagonal that are alike."""
    scores = model.times(a, b.T) / HEAT - 1e4 * alike * (1 - jnp.eye(len(a)))
    both = jax.nn.logsumexp(scores, 1) + jax.nn.logsumexp(scores, 0)
    return both.mean() / 2 - jnp.diagonal(scores).mean()


def short_loss(a, b, t, t_glosses, alike, translated):
    """Left sides to right ones, `translated` of them translations; right sides and glosses among themselves as the
    teacher has them; and translations to all right sides as the teacher has the right ones."""
    n = translated
    loss = contrast(a[:n], b[:n], alike[:n, :n]) + 0.5 * contrast(a[n:], b[n:], alike[n:, n:])
    loss += relational(b, t) + 0.5 * relational(a[n : n + len(t_glosses)], t_glosses)
    known = jax.nn.softmax(model.times(t[:n], t.T) / HEAT, 1)
    found = jax.nn.log_softmax(model.times(a[:n], b.T) / HEAT, 1)
    return loss + 0.5 * (known * (jnp.log(known + 1e-9) - found)).sum(1).mean()


def long_loss(sentences, passages, t):
    both = jnp.concatenate((sentences, passages))
    return 2 * relational(both, t) + 0.3 * contrast(sentences, passages, jnp.zeros((len(sentences),) * 2))


def short_targets(left, right):
    t = taught(right, SHORT)
    return t, taught([part for part in left if part[0] == "glosses"], SHORT), same(t)


def report(number, losses):
    """Now and then, the mean losses since the last time, by the kind of step."""
    if number % 60 == 0:
        means = ", ".join(f"{kind} {np.mean(part):.3f}" for kind, part in losses.items())
        print(time.strftime("%X"), f"step {number}: {means}", flush=True)
        losses.clear()


def untrained_sum(seed=0):
    """[ku, c] brought to 576 numbers by PCA, not centred; the trained path is there and gives nothing."""
    rng = np.random.default_rng(seed)
    english = load("english", slice(0, SUM_ENGLISH))
    foreign = load("foreign", np.sort(rng.choice(len(kept("foreign", "share")), SUM_FOREIGN, False)))
    last = lambda part: np.asarray(model.unit(part[0][:, 2].astype(np.float32)))
    mean = np.stack((last(english).mean(0), last(foreign)[foreign[2] == 0].mean(0)))
    x = np.concatenate([np.asarray(model.straight_input(mean, *part[:3])) for part in (english, foreign)])
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    _, directions = np.linalg.eigh(x.T @ x)
    project = directions[:, ::-1][:, :DIMENSIONS].T.astype(np.float32)
    groups = {"english": slice(None), "foreign": slice(None, None, 6), "sentences": slice(None)}
    groups["passages"] = slice(None, None, 2)
    z = np.concatenate([np.asarray(model.inner_input(*load(name, rows))) for name, rows in groups.items()])
    fixed = {"mean": mean, "center": z.mean(0), "scale": z.std(0) + 1e-3, "P0": project}
    p = {
        "P": project,
        "A": (rng.standard_normal((z.shape[1], HIDDEN)) / z.shape[1] ** 0.5).astype(np.float32),
        "a": np.zeros(HIDDEN, np.float32),
        "B": np.zeros((HIDDEN, DIMENSIONS), np.float32),
        "s": np.zeros(DIMENSIONS, np.float32),
    }
    return {"head": p}, fixed


def train_head():
    side, fixed = model.restore("sum")
    p = side["head"]
    draws = Draws(HEAD_SIZES, 0)
    count, passages = draws.count, HEAD_SIZES["passages"]
    schedule = optax.cosine_onecycle_schedule(HEAD_STEPS, HEAD_RATE, 0.08, final_div_factor=50)
    adam = optax.adamw(schedule, b2=BETA, weight_decay=HEAD_DECAY)
    optimiser = optax.chain(optax.clip_by_global_norm(CLIP), adam)
    state = optimiser.init(p)
    pulls = jnp.concatenate((jnp.full(2 * count, PULL), jnp.full(2 * passages, LONG_PULL["head"]))) / (2 * count)

    @jax.jit
    def step(p, state, rows, t, t_glosses, alike, t_long, key):
        def loss_of(p):
            vectors = model.head(p, fixed, *rows, key, DROPOUT)
            a, b, sentences, texts = jnp.split(vectors, np.cumsum((count, count, passages)))
            loss = short_loss(a, b, t, t_glosses, alike, draws.translated) + long_loss(sentences, texts, t_long)
            return loss + pulls @ (1 - (vectors * model.untrained(fixed, *rows)).sum(1))

        loss, slope = jax.value_and_grad(loss_of)(p)
        change, state = optimiser.update(slope, state, p)
        return optax.apply_updates(p, change), state, loss

    losses = collections.defaultdict(list)
    for number in range(HEAD_STEPS):
        left, right = draws.short()
        sentences, texts = draws.long()
        rows = joined(left + right + sentences + texts)
        targets = *short_targets(left, right), taught(sentences + texts, LONG)
        p, state, loss = step(p, state, rows, *targets, jax.random.key(number))
        losses["loss"].append(float(loss))
        report(number + 1, losses)
    model.save("head", {"head": p}, fixed)


def packed(parts, shape):
    """Texts [(group, rows)] laid into as few rows as they fit in: states [rows, t, 384], and the number of each token's
    text. Those that do not fit are cut, or have no token at all where nothing is left, which is rare."""
    height, width = shape
    states = np.zeros((height, width, WIDTH), np.float16)
    texts = [(name, row) for name, rows in parts for row in rows]
    owner = np.full(shape, len(texts), np.int32)
    free = np.full(height, width)
    begins = {name: kept(name, "begin") for name, _ in parts}
    lengths = np.array([min(width, begins[name][row + 1] - begins[name][row]) for name, row in texts])
    for number in np.argsort(-lengths, kind="stable"):
        length = lengths[number]
        best = np.where(free >= length, free, width + 1).argmin()  # the row that this text fills best
        if free[best] < length:
            continue
        name, row = texts[number]
        at, begin = width - free[best], begins[name][row]
        states[best, at : at + length] = kept(name, "states")[begin : begin + length]
        owner[best, at : at + length] = number
        free[best] -= length
    return states, owner


def train_layers(start, name, rate, steps, minutes, seed):
    side, fixed = model.restore(start)
    side.setdefault("layers", jax.tree.map(jnp.asarray, model.wheel_layers()))
    draws = Draws(LAYER_SIZES, seed)
    count, passages = draws.count, LAYER_SIZES["passages"]
    optimiser = optax.chain(optax.clip_by_global_norm(CLIP), optax.scale_by_adam(b2=BETA))
    state = optimiser.init(side)
    untrained = jax.jit(functools.partial(model.untrained, fixed))

    def stepping(loss_of, weight):
        """A step by a loss of the vectors and of its further arguments, with so much of the pull."""

        @functools.partial(jax.jit, donate_argnums=(0, 1))
        def step(side, state, texts, first, rate, key, *targets):
            states, owner, use, share, lengths = texts

            def whole(side):
                means = model.upper_layers(side["layers"], states, owner, len(use))
                vectors = model.head(side["head"], fixed, means, use, share, lengths, key, DROPOUT)
                return loss_of(vectors, *targets) + weight * (1 - (vectors * first).sum(1)).mean()

            loss, slope = jax.value_and_grad(whole)(side)
            change, state = optimiser.update(slope, state, side)
            rates = {"layers": -rate, "head": -rate * HEAD_FASTER}
            change = {part: jax.tree.map(lambda x: rates[part] * x, tree) for part, tree in change.items()}
            return optax.apply_updates(side, change), state, loss

        return step

    short = stepping(lambda v, *targets: short_loss(v[:count], v[count:], *targets, draws.translated), PULL)
    long = stepping(lambda v, t: long_loss(v[:passages], v[passages:], t), LONG_PULL["layers"])
    losses, began = collections.defaultdict(list), time.time()
    number = done = 0
    while done < 1:
        has_passages = number % 3 == 2
        left, right = draws.long() if has_passages else draws.short()
        texts = left + right
        targets = (taught(texts, LONG),) if has_passages else short_targets(left, right)
        rows = joined(texts)
        now = rate * min(1, (number + 1) / WARM_UP) * max(LEAST_RATE, 1 - done)
        inputs = (*packed(texts, LONG_ROWS if has_passages else SHORT_ROWS), *rows[1:])
        step = long if has_passages else short
        side, state, loss = step(side, state, inputs, untrained(*rows), now, jax.random.key(number), *targets)
        losses["passages" if has_passages else "words"].append(float(loss))
        number += 1
        report(number, losses)
        done = max(number / steps, (time.time() - began) / (60 * minutes))
        if number % 200 == 0:
            model.save(name, side, fixed)
    model.save(name, side, fixed)


def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("sum", "head"):
        commands.add_parser(name)
    middle = commands.add_parser("between")
    middle.add_argument("name")
    middle.add_argument("share", type=float)
    layers = commands.add_parser("layers")
    layers.add_argument("start")
    layers.add_argument("--name", default="layers")
    layers.add_argument("--rate", type=float, default=1e-4)
    layers.add_argument("--steps", type=int, default=200, help="the rate falls to nothing by the last of them")
    layers.add_argument("--minutes", type=float, default=float("inf"), help="or by this time, if that comes first")
    layers.add_argument("--seed", type=int, default=1)
    opt = parser.parse_args()
    if opt.command == "sum":
        model.save("sum", *untrained_sum())
    elif opt.command == "head":
        train_head()
    elif opt.command == "between":
        side, fixed = model.restore(opt.name)
        model.save(f"{opt.name}-{opt.share:g}", model.between(side, fixed, opt.share), fixed)
    else:
        train_layers(opt.start, opt.name, opt.rate, opt.steps, opt.minutes, opt.seed)


if __name__ == "__main__":
    main()
