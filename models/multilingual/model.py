"""The trained part of the text side in JAX: the head, and E5's upper layers over states that stay as they are.

A side is {"head": parameters, "layers": parameters of each layer} with {"fixed": what is not trained}; "layers" is
missing while those of the wheel are used. Formulas: README.md. On disk a side is SIDES/NAME.npz, the head as p.*, the
fixed as f.*, layer 4 as l4.* and so on.
"""

import jax
import jax.numpy as jnp
import numpy as np

from e5file import LAYERS, WIDTH, E5File
from features import FROZEN, TAPS
from frozen import EPSILON, HEADS
from paths import SIDES


def times(a, b):
    """A product in bf16, summed in f32: three times as fast where the CPU has instructions for it."""
    return jnp.dot(a.astype(jnp.bfloat16), b.astype(jnp.bfloat16), preferred_element_type=jnp.float32)


def unit(x):
    return x * jax.lax.rsqrt((x * x).sum(-1, keepdims=True) + EPSILON)


def straight_input(mean, means, use, share):
    """[ku, c] of the straight path, [n, 896]."""
    k = share[:, None]
    c = unit(unit(means[:, 2].astype(jnp.float32)) - k * mean[0] - (1 - k) * mean[1])
    return jnp.concatenate((k * unit(use.astype(jnp.float32)), c), 1)


def inner_input(means, use, share, lengths):
    """[e4, e7, e9, ku, k, ln n] of the hidden layer, [n, 1666]."""
    k = share[:, None]
    taps = unit(means.astype(jnp.float32)).reshape(len(means), -1)
    length = jnp.log(lengths.astype(jnp.float32))[:, None]
    return jnp.concatenate((taps, k * unit(use.astype(jnp.float32)), k, length), 1)


def untrained(fixed, means, use, share, _):
    """The vectors of the untrained sum."""
    return unit(times(straight_input(fixed["mean"], means, use, share), fixed["P0"].T))


def head(p, fixed, means, use, share, lengths, key=None, dropout=0.0):
    """Vectors [n, 576] from E5's token means [n, 3, 384], USE's vectors, shares and lengths in E5's tokens."""
    z = (inner_input(means, use, share, lengths) - fixed["center"]) / fixed["scale"]
    inner = jax.nn.relu(times(z, p["A"]) + p["a"])
    if key is not None:
        inner = inner * jax.random.bernoulli(key, 1 - dropout, inner.shape) / (1 - dropout)
    straight = times(straight_input(fixed["mean"], means, use, share), p["P"].T)
    return unit(straight + times(inner, p["B"]) + p["s"])


def normed(x, gain, bias):
    x = x - x.mean(-1, keepdims=True)
    return x * jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + EPSILON) * gain + bias


def layer(p, x, bias):
    """One of E5's layers. `bias` [n, 1, t, t] is added to the scores before their softmax."""
    n, t, _ = x.shape
    linear = lambda x, part: times(x, p[f"{part}.w"].T) + p[f"{part}.b"]
    q, k, v = (linear(x, part).reshape(n, t, HEADS, -1).transpose(0, 2, 1, 3) for part in "qkv")
    scores = jnp.einsum("nhqd,nhkd->nhqk", q, k) * (WIDTH // HEADS) ** -0.5 + bias
    mixed = jnp.einsum("nhqk,nhkd->nhqd", jax.nn.softmax(scores, -1), v)
    mixed = mixed.transpose(0, 2, 1, 3).reshape(n, t, WIDTH)
    x = normed(x + linear(mixed, "ao"), p["aln.w"], p["aln.b"])
    inner = jax.nn.gelu(linear(x, "fi"), approximate=False)
    return normed(x + linear(inner, "fo"), p["oln.w"], p["oln.b"])


def upper_layers(layers, states, text, count):
    """Token means [count, 3, 384] from states [rows, t, 384] after the frozen layers. Several texts share a row: `text`
    [rows, t] has the number of each token's, or `count` where there is none, and a token sees its own text alone."""
    x = states.astype(jnp.float32)
    bias = jnp.where(text[:, None, :, None] == text[:, None, None, :], 0.0, -1e9)
    belongs = jax.nn.one_hot(text.reshape(-1), count, dtype=jnp.float32, axis=0)
    belongs = belongs / jnp.maximum(belongs.sum(1, keepdims=True), 1)
    mean = lambda x: belongs @ x.reshape(-1, WIDTH)
    means = [mean(x)]
    for number, p in enumerate(layers, FROZEN + 1):
        x = layer(p, x, bias)
        if number in TAPS:
            means.append(mean(x))
    return jnp.stack(means, 1)


def wheel_layers():
    file = E5File()
    return [file.layer(number) for number in LAYERS[FROZEN:]]


def save(name, side, fixed):
    flat = {f"p.{key}": value for key, value in side["head"].items()} | {f"f.{key}": fixed[key] for key in fixed}
    for number, layer in enumerate(side.get("layers", []), FROZEN):
        flat |= {f"l{number}.{key}": value for key, value in layer.items()}
    SIDES.mkdir(parents=True, exist_ok=True)
    part = SIDES / f"{name}.part.npz"
    np.savez(part, **{key: np.asarray(value) for key, value in flat.items()})
    part.rename(SIDES / f"{name}.npz")


def restore(name):
    with np.load(SIDES / f"{name}.npz") as file:
        flat = {key: jnp.asarray(file[key]) for key in file.files}
    picked = lambda prefix: {key.removeprefix(prefix): flat[key] for key in flat if key.startswith(prefix)}
    side = {"head": picked("p.")}
    if layers := [picked(f"l{number}.") for number in range(FROZEN, len(LAYERS)) if f"l{number}.q.w" in flat]:
        side["layers"] = layers
    return side, picked("f.")


def between(side, fixed, share):
    """The side that lies so much of the way from the untrained sum to `side`."""
    mix = lambda start, end: (1 - share) * jnp.asarray(start) + share * end
    p = side["head"]
    found = {"head": p | {"P": mix(fixed["P0"], p["P"]), "B": share * p["B"], "s": share * p["s"]}}
    if "layers" in side:
        found["layers"] = jax.tree.map(mix, wheel_layers(), side["layers"])
    return found
