//! Extracts the drawings of `NotoColorEmoji.ttf` as PNG files and describes each in a line of
//! `emoji.ndjson`, which `clipdb ingest` reads.
//!
//! Only emoji of one character are extracted: skin tones, families and the man/woman variants are
//! sequences of several, and flags do not depict things.

use emojis::{Emoji, Group};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use ttf_parser::{Face, RasterImageFormat};

/// The only size in which the font has its emoji.
const PIXELS_PER_EM: u16 = 109;

#[derive(Debug, thiserror::Error)]
enum ExtractError {
    #[error("usage: clipdb-emoji FONT FOLDER")]
    Usage,
    #[error("'{}': {source}", path.display())]
    File {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("'{}' is not a font: {source}", path.display())]
    NotAFont {
        path: PathBuf,
        source: ttf_parser::FaceParsingError,
    },
    #[error(
        "'{}' has no emoji as PNG images; use the NotoColorEmoji.ttf of Debian's and Ubuntu's package fonts-noto-color-emoji",
        path.display()
    )]
    NoImages { path: PathBuf },
}

fn main() -> ExitCode {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let extracted = match arguments.as_slice() {
        [font, folder] => extract(font, folder),
        _ => Err(ExtractError::Usage),
    };
    match extracted {
        Ok(count) => {
            eprintln!("extracted {count} emoji");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("clipdb-emoji: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Writes `FOLDER/pictures/NAME.png` and, once all are written, `FOLDER/emoji.ndjson`.
fn extract(font: &Path, folder: &Path) -> Result<usize, ExtractError> {
    let bytes = std::fs::read(font).map_err(at(font))?;
    let face = Face::parse(&bytes, 0).map_err(|source| ExtractError::NotAFont {
        path: font.to_owned(),
        source,
    })?;
    let images = folder.join("pictures");
    std::fs::create_dir_all(&images).map_err(at(&images))?;
    let mut lines = String::new();
    let mut count = 0;
    for (character, emoji) in drawn_emoji() {
        let Some(png) = png(&face, character) else {
            continue;
        };
        let name = file_name(emoji.name());
        let path = images.join(format!("{name}.png"));
        std::fs::write(&path, png).map_err(at(&path))?;
        let document = json!({
            "id": format!("emoji/{name}"),
            "image": {"file": format!("pictures/{name}.png")},
            "metadata": {"name": emoji.name(), "group": group_name(emoji.group())},
        });
        lines += &format!("{document}\n");
        count += 1;
    }
    if count == 0 {
        return Err(ExtractError::NoImages {
            path: font.to_owned(),
        });
    }
    let list = folder.join("emoji.ndjson");
    std::fs::write(&list, lines).map_err(at(&list))?;
    Ok(count)
}

fn at(path: &Path) -> impl FnOnce(std::io::Error) -> ExtractError {
    let path = path.to_owned();
    move |source| ExtractError::File { path, source }
}

/// Emoji of one character, with or without the variation selector for colour, except flags.
fn drawn_emoji() -> impl Iterator<Item = (char, &'static Emoji)> {
    const COLOURED: char = '\u{fe0f}';
    emojis::iter()
        .filter(|emoji| emoji.group() != Group::Flags)
        .filter_map(|emoji| {
            let mut characters = emoji
                .as_str()
                .chars()
                .filter(|character| *character != COLOURED);
            let character = characters.next()?;
            characters.next().is_none().then_some((character, emoji))
        })
}

fn png<'font>(face: &'font Face<'_>, character: char) -> Option<&'font [u8]> {
    let glyph = face.glyph_index(character)?;
    let image = face.glyph_raster_image(glyph, PIXELS_PER_EM)?;
    (image.format == RasterImageFormat::PNG).then_some(image.data)
}

/// `ATM sign` becomes `atm-sign`: everything except letters and digits separates words.
fn file_name(name: &str) -> String {
    name.to_lowercase()
        .split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join("-")
}

fn group_name(group: Group) -> &'static str {
    match group {
        Group::SmileysAndEmotion => "smileys and emotion",
        Group::PeopleAndBody => "people and body",
        Group::AnimalsAndNature => "animals and nature",
        Group::FoodAndDrink => "food and drink",
        Group::TravelAndPlaces => "travel and places",
        Group::Activities => "activities",
        Group::Objects => "objects",
        Group::Symbols => "symbols",
        Group::Flags => "flags",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_emoji_has_a_file_name_of_its_own() {
        let mut seen = HashSet::new();
        for (_, emoji) in drawn_emoji() {
            assert!(seen.insert(file_name(emoji.name())), "{}", emoji.name());
        }
        assert!(seen.len() > 1000);
        assert_eq!(file_name("hot dog & Ō"), "hot-dog-ō");
    }
}
