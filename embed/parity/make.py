"""Recreates the golden files named on the command line (without a name, all)."""

import sys

import bert
import chinese
import clip
import efficientnet
import family_tokens
import formats
import graphs
import images
import kinds
import mclip
import openclip
import openclip_roberta
import pixels
import sentences
import siglip
import tokens

MAKERS = {
    # First, because the scaled-down folders use parts of these tokenizers.
    "tokens": tokens.make,
    "clip": clip.make,
    "bert": bert.make,
    "efficientnet": efficientnet.make,
    "images": images.make,
    "openclip": openclip.make,
    "openclip_roberta": openclip_roberta.make,
    "chinese": chinese.make,
    "mclip": mclip.make,
    "siglip": siglip.make,
    "sentences": sentences.make,
    "formats": formats.make,
    "kinds": kinds.make,
    # Last, because they read the folders of the others.
    "graphs": graphs.make,
    "family_tokens": family_tokens.make,
    "pixels": pixels.make,
}

if __name__ == "__main__":
    for name in sys.argv[1:] or MAKERS:
        MAKERS[name]()
        print(f"{name}: done", flush=True)
