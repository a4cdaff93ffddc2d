"""Fetches the drawings, their words and the photographs into the cache folder. Safe to repeat.

Drawings and words come from the npm registry, photographs from Debian packages that are unpacked and not
installed. Versions are pinned, so that a later training sees the same data. Licences: README.md.
"""

import json
import subprocess

from paths import DEBIAN, NPM

NPM_PACKAGES = {
    # Emoji in many hands.
    "@iconify-json/noto": "1.2.9",
    "@iconify-json/noto-v1": "1.2.5",
    "@iconify-json/twemoji": "1.2.5",
    "@iconify-json/fluent-emoji-flat": "1.2.6",
    "@iconify-json/fluent-emoji-high-contrast": "1.2.6",
    "@iconify-json/fxemoji": "1.2.2",
    "@iconify-json/emojione": "1.2.3",
    "@iconify-json/emojione-monotone": "1.2.1",
    "@iconify-json/streamline-emojis": "1.2.4",
    "@fontsource/noto-emoji": "5.3.2",
    # Icons.
    "@iconify-json/tabler": "1.2.41",
    "@iconify-json/lucide": "1.2.137",
    "@iconify-json/mdi": "1.2.3",
    "@iconify-json/ph": "1.2.2",
    "@iconify-json/icon-park": "1.2.4",
    "@iconify-json/flat-color-icons": "1.2.3",
    "@iconify-json/hugeicons": "1.2.35",
    "@iconify-json/game-icons": "1.2.4",
    # Words.
    "emojibase-data": "17.0.0",
    "emojilib": "4.0.3",
    # Evaluation only (CC BY-SA): never trained on.
    "@iconify-json/openmoji": "1.2.29",
}

# The last one is for evaluation only.
DEBIAN_PACKAGES = [
    "gnome-backgrounds",
    "mate-backgrounds",
    "lomiri-wallpapers-16.04",
    "lomiri-wallpapers-20.04",
    "ukui-wallpapers",
    "tuxpaint-stamps-default",
]


def fetch_npm():
    folder = NPM.parent
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "package.json").write_text(json.dumps({"private": True, "dependencies": NPM_PACKAGES}, indent=1))
    command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(folder)]
    subprocess.run(command, check=True)


def fetch_debian():
    for package in DEBIAN_PACKAGES:
        unpacked = DEBIAN / package
        if unpacked.exists():
            continue
        DEBIAN.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", package], cwd=DEBIAN, check=True)
        (archive,) = DEBIAN.glob(f"{package}_*.deb")
        subprocess.run(["dpkg", "-x", str(archive), str(unpacked)], check=True)
        archive.unlink()


if __name__ == "__main__":
    fetch_npm()
    fetch_debian()
