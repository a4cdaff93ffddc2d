//! The names of columns, and the number of documents that have each field.

use std::collections::HashMap;

use tantivy::columnar::{ColumnarReader, DynamicColumn};
use tantivy::index::SegmentComponent;
use tantivy::{Searcher, SegmentReader, TantivyError};

use super::COLUMNS;
use super::read::{Column, live_documents};
use crate::error::IndexError;

/// Characters that a name cannot contain, and those that encode them after a `~`.
const ESCAPES: [(char, char); 5] = [
    ('~', 't'),
    ('.', 'd'),
    ('\\', 'b'),
    ('\0', '0'),
    ('\u{1}', '1'),
];

/// The name of the empty path.
const EMPTY: &str = "~e";

/// Separates the name of the field of all columns from the name of a column.
const SEPARATOR: char = '\u{1}';

pub(super) fn of_path(path: &str) -> String {
    if path.is_empty() {
        return EMPTY.to_owned();
    }
    let mut name = String::with_capacity(path.len());
    for letter in path.chars() {
        match ESCAPES.iter().find(|(written, _)| *written == letter) {
            Some((_, code)) => name.extend(['~', *code]),
            None => name.push(letter),
        }
    }
    name
}

/// The path of a column; `None` for a column that is of no field.
fn path_of(name: &str) -> Option<String> {
    if name == EMPTY {
        return Some(String::new());
    }
    let mut path = String::with_capacity(name.len());
    let mut letters = name.chars();
    while let Some(letter) = letters.next() {
        if letter == '~' {
            let code = letters.next()?;
            path.push(ESCAPES.iter().find(|(_, known)| *known == code)?.0);
        } else {
            path.push(letter);
        }
    }
    Some(path)
}

/// Every path of the metadata with the number of live documents that have a value there.
pub(crate) fn documents_by_path(searcher: &Searcher) -> Result<HashMap<String, u64>, IndexError> {
    let mut documents = HashMap::new();
    let segments = searcher
        .index()
        .searchable_segments()
        .map_err(IndexError::tantivy("list its segments"))?;
    for segment in segments {
        let list = || {
            let file = segment.open_read(SegmentComponent::FastFields)?;
            Ok::<_, TantivyError>((
                ColumnarReader::open(file)?.list_columns()?,
                SegmentReader::open(&segment)?,
            ))
        };
        let (columns, reader) = list().map_err(IndexError::tantivy("list its columns"))?;
        for (name, handle) in columns {
            let Some(path) = name
                .strip_prefix(COLUMNS)
                .and_then(|name| name.strip_prefix(SEPARATOR))
                .and_then(path_of)
            else {
                continue;
            };
            let opened = handle
                .open()
                .map_err(|error| IndexError::tantivy("open a column")(error.into()))?;
            let DynamicColumn::Str(column) = opened else {
                continue;
            };
            let count = count(&Column::new(column), &reader);
            if count > 0 {
                *documents.entry(path).or_default() += count;
            }
        }
    }
    Ok(documents)
}

fn count(column: &Column, segment: &SegmentReader) -> u64 {
    if segment.has_deletes() {
        let live = live_documents(segment);
        let present = column.present();
        present.filter(|at| live.contains(*at as usize)).count() as u64
    } else {
        column.num_present()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::Source;

    #[test]
    fn names_read_back() {
        for path in [
            "",
            "a",
            "a.b",
            "~",
            "~ext",
            "~d.",
            "~e",
            ".e",
            ":id",
            "\\\0\u{1}é",
            "~:id",
        ] {
            let name = of_path(path);
            assert!(!name.contains(['.', '\\', '\0', '\u{1}']), "{name}");
            assert_eq!(path_of(&name).as_deref(), Some(path));
        }
        for of_no_field in [Source::Id, Source::Text, Source::Image, Source::TextVector] {
            assert_eq!(path_of(&of_no_field.column()), None);
        }
    }
}
