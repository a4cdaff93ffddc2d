"""Remakes the golden files named on the command line (all of them without a name)."""

import sys

import bert
import clip
import efficientnet
import formats
import images
import tokens

MAKERS = {
    # Tokens first: the scaled-down folders cut their tokenizers out of these.
    "tokens": tokens.make,
    "clip": clip.make,
    "bert": bert.make,
    "efficientnet": efficientnet.make,
    "images": images.make,
    "formats": formats.make,
}

if __name__ == "__main__":
    for name in sys.argv[1:] or MAKERS:
        MAKERS[name]()
        print(f"{name}: done", flush=True)
