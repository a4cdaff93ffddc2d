"""The image projection: two branches from features to the sentence space, summed and normalised.

Formulas and tensor names are in README.md, "Forward pass"; this is their reference.
"""

import torch

from networks import FEATURES, HEAD_MEANS

DIMENSIONS = 384
CLASS_THRESHOLD = 2.8


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
def classes_branch(network, sentences):
    """ConSE (Norouzi et al. 2013) as one layer: class names' vectors, weighted by how sure the classifier is."""
    from torchvision.models._meta import _IMAGENET_CATEGORIES as class_names

    branch = Branch(HEAD_MEANS, len(class_names))
    branch.hidden.weight.copy_(network._fc.weight)
    branch.hidden.bias.copy_(network._fc.bias - CLASS_THRESHOLD)
    branch.output.weight.copy_(sentences.encode(class_names).T)
    return branch.requires_grad_(False)


def image_vectors(branches, features):
    return torch.nn.functional.normalize(sum(branch(features) for branch in branches), dim=1)
