//! Docarray's access paths: the documents of a request's tree that a call processes.

use std::collections::BTreeSet;
use std::str::FromStr;

use crate::clip_as_service::message::Document;
use crate::http::error::ApiError;
use clipdb_engine::excerpt;

/// Paths down from a root: `""` is the root itself, `"cm"` the matches of its chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths(BTreeSet<String>);

/// The roots, as CLIP-as-service's `@r`.
impl Default for Paths {
    fn default() -> Self {
        Self(BTreeSet::from([String::new()]))
    }
}

impl Paths {
    /// The roots' matches.
    pub fn matches() -> Self {
        Self(BTreeSet::from(["m".to_owned()]))
    }

    /// Calls `visit` with each document that a path leads to, once, in an order that depends only
    /// on the tree: the chunks of a document, then its matches, then the document itself, so
    /// `visit` may replace its matches.
    pub fn visit<E>(
        &self,
        documents: &mut [Document],
        visit: &mut impl FnMut(&mut Document) -> Result<(), E>,
    ) -> Result<(), E> {
        self.visit_below(&mut String::new(), documents, visit)
    }

    fn visit_below<E>(
        &self,
        path: &mut String,
        documents: &mut [Document],
        visit: &mut impl FnMut(&mut Document) -> Result<(), E>,
    ) -> Result<(), E> {
        // No path leads further down: skip the subtree.
        if !self
            .0
            .iter()
            .any(|wanted| wanted.starts_with(path.as_str()))
        {
            return Ok(());
        }
        for document in documents {
            for (step, below) in [('c', &mut document.chunks), ('m', &mut document.matches)] {
                path.push(step);
                let outcome = self.visit_below(path, below, visit);
                path.pop();
                outcome?;
            }
            if self.0.contains(path.as_str()) {
                visit(document)?;
            }
        }
        Ok(())
    }
}

/// `@r`, `@c`, `@r,cm`: letters only; docarray's slices and fields are refused.
impl FromStr for Paths {
    type Err = ApiError;

    fn from_str(text: &str) -> Result<Self, ApiError> {
        let paths = text.trim().trim_start_matches('@');
        paths
            .split(',')
            .map(str::trim)
            .map(|path| {
                let known = !path.is_empty() && path.bytes().all(|step| b"rcm".contains(&step));
                // 'r' does not descend.
                known.then(|| path.replace('r', ""))
            })
            .collect::<Option<_>>()
            .map(Self)
            .ok_or_else(|| {
                ApiError::InvalidField(format!(
                    "'{}' is not a supported access path: use r, c and m, as in '@r', '@c' or '@r,cm'",
                    excerpt(text)
                ))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(id: &str, chunks: Vec<Document>, matches: Vec<Document>) -> Document {
        Document {
            id: id.to_owned(),
            chunks,
            matches,
            ..Document::default()
        }
    }

    fn visited(paths: &str) -> Vec<String> {
        let leaf = |id| document(id, vec![], vec![]);
        let chunk = document("c", vec![leaf("cc")], vec![leaf("cm")]);
        let mut tree = [document("r", vec![chunk], vec![leaf("m")]), leaf("s")];
        let mut ids = Vec::new();
        let paths: Paths = paths.parse().unwrap();
        let outcome: Result<(), ()> = paths.visit(&mut tree, &mut |document| {
            ids.push(document.id.clone());
            Ok(())
        });
        outcome.unwrap();
        ids
    }

    #[test]
    fn paths_select_the_documents_that_docarray_s_do() {
        assert_eq!(visited("@r"), ["r", "s"]);
        assert_eq!(visited("c"), ["c"]);
        assert_eq!(visited("@r,m"), ["m", "r", "s"]);
        assert_eq!(visited("@cm, cc"), ["cc", "cm"]);
        assert_eq!(visited("@r,r,rc"), ["c", "r", "s"]);
    }

    #[test]
    fn unsupported_paths_are_refused() {
        for path in ["", "@", "x", "@r[:5]", "@.[image]", "r,,c"] {
            assert!(path.parse::<Paths>().is_err(), "{path}");
        }
    }
}
