"""Measures a head, or the exported model, on what it was not trained on. Usage: evaluate.py [head.pt]

Without a head, the exported f16 weights are evaluated on OpenMoji, as the server uses them.
"""

import json
import sys

import numpy as np
import torch
import torch.nn.functional as F

import features
from augment import plain
from concepts import unnamed_queries
from drawings import test_drawings, words_of
from export import exported_image_side
from networks import KeptSentences, image_network
from projection import classes_branch, image_vectors, load_head


def recall(texts, images, right):
    """Share of texts with a right image first, and among the first ten. right[i]: mask over the images."""
    ranked = (texts @ images.T).topk(10, dim=1).indices.numpy()
    hits = [mask[best] for mask, best in zip(right, ranked)]
    return {
        "texts": len(hits),
        "recall@1": round(sum(bool(hit[0]) for hit in hits) / len(hits), 4),
        "recall@10": round(sum(bool(hit.any()) for hit in hits) / len(hits), 4),
    }


def openmoji_figures(sentences, vectors, names):
    named = recall(sentences.encode([words_of(name) for name in names]), vectors, [names == name for name in names])
    queries = unnamed_queries()
    masks = [sum(names == target for target in targets) > 0 for _, targets in queries]
    unnamed = recall(sentences.encode([query for query, _ in queries]), vectors, masks)
    return {"OpenMoji by name": named, "OpenMoji by words in no name": unnamed}


def photograph_figures(classes, drawn, class_vectors):
    """How far the drawings branch moves photographs: nearest class kept, cosine kept, gate."""
    figures = {}
    for name in ("photographs", "stamps"):
        found, labels = features.load(name)
        if name == "photographs":
            found = found[labels[:, 2] == "held-out"]
        found = torch.from_numpy(found).float()
        alone, both = image_vectors([classes], found), image_vectors([classes, drawn], found)
        seen = classes(found).norm(dim=1) > 0
        first = [(vectors @ class_vectors.T).argmax(1) for vectors in (alone, both)]
        gate = torch.sigmoid(drawn.gate((found - drawn.mean) / drawn.std))
        figures[name] = {
            "pictures": int(seen.sum()),
            "nearest class kept": round((first[0] == first[1])[seen].float().mean().item(), 4),
            "cosine kept": round(F.cosine_similarity(alone, both)[seen].mean().item(), 4),
            "gate over 0.5": round((gate > 0.5).float().mean().item(), 4),
        }
    return figures


def stamp_figures(sentences, branches):
    """Photographic stamps by the words on them: a proxy for photographs of objects."""
    found, labels = features.load("stamps")
    words = labels[:, 2]
    queries = sorted(set(words))
    vectors = image_vectors(branches, torch.from_numpy(found).float())
    return recall(sentences.encode([f"a photo of a {q}" for q in queries]), vectors, [words == q for q in queries])


def trained(head):
    """Branches of a head that was not exported yet, and OpenMoji's kept features."""
    drawn = load_head(head)
    found, labels = features.load("openmoji")
    return classes_branch(image_network(), KeptSentences()), drawn, found, labels[:, 2]


def exported():
    """Branches as models/clipdb-mini has them, and OpenMoji run through its image network."""
    network, (classes, drawn) = exported_image_side()
    test = list(test_drawings())
    found = features.Extractor(network)([lambda one=one: plain(one.svg) for one in test])
    return classes, drawn, found, np.array([one.concept for one in test])


@torch.inference_mode()
def main(head):
    torch.set_num_threads(2)
    sentences = KeptSentences()
    classes, drawn, found, names = trained(head) if head else exported()
    branches = (classes, drawn)
    vectors = image_vectors(branches, torch.from_numpy(found).float())
    figures = openmoji_figures(sentences, vectors, names)
    figures["moved photographs"] = photograph_figures(classes, drawn, F.normalize(classes.output.weight.T, dim=1))
    figures["stamps, classes alone"] = stamp_figures(sentences, [classes])
    figures["stamps"] = stamp_figures(sentences, branches)
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
