#!/usr/bin/env bash
# Prints the folder of the demo's emoji: pictures/*.png and emoji.ndjson. The first call creates
# it from Debian's and Ubuntu's font package, without root.
set -euo pipefail
cd "$(dirname "$0")/../.."

cache="${CLIPDB_CACHE:-$HOME/.cache/clipdb}"
package=fonts-noto-color-emoji
font_in_package=usr/share/fonts/truetype/noto/NotoColorEmoji.ttf
emoji="$cache/emoji"

fail() { printf 'emoji: %s\n' "$*" >&2; exit 1; }

find_font() {
    local font
    for font in "/$font_in_package" "$cache/$package/$font_in_package"; do
        if [ -r "$font" ]; then printf '%s' "$font"; return; fi
    done
    return 1
}

# apt's package lists may be missing or outdated, and only root may update those of the system:
# the second try uses lists of its own.
fetch_font() {
    command -v apt-get >/dev/null ||
        fail "the emoji come from Debian's package $package, but apt-get is missing: put NotoColorEmoji.ttf at /$font_in_package."
    printf 'emoji: downloading %s (10 MB)\n' "$package" >&2
    local folder="$cache/$package"
    local own_lists=(-o "Dir::State::Lists=$folder/lists" -o "Dir::Cache=$folder/cache" -o Debug::NoLocking=1)
    mkdir -p "$folder/lists/partial" "$folder/cache/archives/partial"
    (
        cd "$folder"
        apt-get -qq download "$package" 2>/dev/null || {
            apt-get -qq "${own_lists[@]}" update && apt-get -qq "${own_lists[@]}" download "$package"
        } 2>"$folder/apt.log"
    ) || fail "apt-get could not download $package ($(tail -n 1 "$folder/apt.log" 2>/dev/null)). Connect to a network or install the package, then run this again."
    dpkg-deb -x "$folder/$package"_*.deb "$folder"
    rm -rf "$folder/lists" "$folder/cache" "$folder/$package"_*.deb
}

if [ ! -e "$emoji/emoji.ndjson" ]; then
    find_font >/dev/null || fetch_font
    font="$(find_font)" || fail "the package $package does not contain $font_in_package."
    cargo run --release --quiet -p clipdb-emoji -- "$font" "$emoji" >&2
fi
printf '%s\n' "$emoji"
