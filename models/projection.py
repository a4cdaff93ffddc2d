"""The image projection: two branches from features to the space of texts, summed and normalised.

Formulas and tensor names are in README.md, "Forward pass"; this is their reference.
"""

import torch
from torch.nn.functional import normalize
from torchvision.models._meta import _IMAGENET_CATEGORIES as class_names

from networks import FEATURES, HEAD_MEANS

DIMENSIONS = 576
CLASS_THRESHOLD = 3.5
COMMON = 0.5
GATE_STEEPNESS = 2.0


class Branch(torch.nn.Module):
    """relu(W · standardised slice + b) · output^T, times a gate where it has one."""

    def __init__(self, span, hidden, gate=False):
        super().__init__()
        self.span = span
        width = span[1] - span[0]
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("std", torch.ones(width))
        self.hidden = torch.nn.Linear(width, hidden)
        self.output = torch.nn.Linear(hidden, DIMENSIONS, bias=False)
        self.gate = torch.nn.Linear(width, 1) if gate else None

    def forward(self, features):
        x = (features[:, self.span[0] : self.span[1]] - self.mean) / self.std
        out = self.output(torch.relu(self.hidden(x)))
        return out if self.gate is None else out * torch.sigmoid(self.gate(x))


def drawings_branch(hidden):
    return Branch((0, FEATURES), hidden, gate=True)


def load_head(path):
    """The drawings branch that train.py wrote."""
    state = torch.load(path)
    branch = drawings_branch(len(state["hidden.bias"]))
    branch.load_state_dict(state)
    return branch.eval()


@torch.no_grad()
def finished_head(path):
    """The trained branch with a steeper gate. Training leaves the gate a little open for objects cut out on white,
    whose recall@10 a steeper one raises from 0.35 to 0.42; OpenMoji's stays the same."""
    branch = load_head(path)
    branch.gate.weight.mul_(GATE_STEEPNESS)
    branch.gate.bias.mul_(GATE_STEEPNESS)
    return branch


@torch.no_grad()
def classes_branch(network, texts):
    """ConSE (Norouzi et al. 2013) as one layer: class names' vectors, weighted by how sure the classifier is."""
    branch = Branch(HEAD_MEANS, len(class_names))
    branch.hidden.weight.copy_(network._fc.weight)
    branch.hidden.bias.copy_(network._fc.bias - CLASS_THRESHOLD)
    branch.output.weight.copy_(class_vectors(texts).T)
    return branch.requires_grad_(False)


def class_vectors(texts):
    """A class is its name, bare and as people ask for photographs, less half of what all classes share."""
    asked = texts.encode([f"a photo of a {name}" for name in class_names])
    both = normalize(texts.encode(class_names) + asked, dim=1)
    return normalize(both - COMMON * both.mean(0), dim=1)


def image_vectors(branches, features):
    return normalize(sum(branch(features) for branch in branches), dim=1)
