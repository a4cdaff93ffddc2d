//! Entry points for the fuzz targets in `fuzz/`, compiled only with `--cfg fuzzing`.

use std::path::Path;

use crate::error::IndexError;
use crate::row::VectorKind;
use crate::vectors::{Nearest, VectorSettings, VectorStore};

/// Opens the vectors of one collection in `folder`, as at startup, and returns how many of them
/// a search finds through the index and how many an exact search finds.
///
/// # Errors
/// The folder cannot be opened or searched.
pub fn search_vectors(
    folder: &Path,
    settings: VectorSettings,
    query: &[f32],
) -> Result<[usize; 2], IndexError> {
    let (vectors, _) = VectorStore::open(folder, query.len(), settings)?;
    vectors.stop();
    let exact = Nearest {
        exact: true,
        ..Nearest::default()
    };
    let mut found = [0; 2];
    for (found, how) in found.iter_mut().zip([Nearest::default(), exact]) {
        *found = vectors.search(query, VectorKind::Text, 20, &how)?.len();
    }
    vectors.verify()?;
    Ok(found)
}
