//! Full-text search: one tantivy index over text and metadata, ranked by BM25.
//!
//! This module owns the collection's `words` folder, in which tantivy also keeps the
//! [columns](crate::columns) of the metadata. It knows nothing of vectors.

mod analysis;
mod commit;
mod compile;
mod coverage;
mod highlight;
mod index;
mod matching;
mod open;
mod parse;
mod schema;
mod text_config;
mod vocabulary;
mod writer;
mod writer_pool;

pub use analysis::{Analyzer, UnknownAnalyzer};
pub use highlight::Highlighter;
pub(crate) use index::FulltextIndex;
pub use index::KeywordHits;
pub(crate) use open::{inspect, open};
pub use parse::KeywordQuery;
pub use text_config::{FieldTextConfig, TextConfig};
pub(crate) use writer::FulltextWriter;
pub use writer_pool::set_open_writers;
