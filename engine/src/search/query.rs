//! A search request: the content to search for, the documents to search in, and how to rank them.

use clipdb_embed::Modality;
use clipdb_index::fusion::Fusion;
use clipdb_index::{IndexError, KeywordQuery, ListKind};
use clipdb_storage::DocumentId;

use crate::error::EngineError;
use crate::image_source::ImageSource;
use crate::search::confidence::Cut;
use crate::search::view::View;

/// One part of a query; the query's vector is the weighted sum of its parts.
#[derive(Debug, Clone)]
pub struct Part {
    /// The content to search for.
    pub content: Content,
    /// Its weight; a negative one ranks similar documents lower.
    pub weight: f32,
}

/// The content of a query's part.
#[derive(Debug, Clone)]
pub enum Content {
    /// A text to embed.
    Text(String),
    /// An image to embed.
    Image(ImageSource),
    /// The stored image vector of a document in the same collection.
    ImageOf(DocumentId),
    /// A vector of the collection's dimensions and of any length except zero; it is normalised.
    Vector(Vec<f32>),
}

/// How a query searches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// By vectors and by keywords; the lists are fused.
    Hybrid,
    /// By vectors.
    Vector,
    /// By keywords.
    Keyword,
    /// Without a query: all documents that pass the filter, in the order of fields.
    Browse,
}

/// The vectors of documents that the query is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Targets {
    /// Image vectors.
    pub image: bool,
    /// Text vectors.
    pub text: bool,
}

impl Targets {
    /// Image and text vectors.
    pub const BOTH: Self = Self {
        image: true,
        text: true,
    };
}

/// A search request.
#[derive(Debug, Clone)]
pub struct Query {
    /// The parts of the query's vector.
    pub parts: Vec<Part>,
    /// The keyword query; `None`: the texts among the parts with a positive weight.
    pub keywords: Option<String>,
    /// Whether a word that is in no document also matches the most similar words.
    pub typos: bool,
    /// Whether hits have fragments with the matched words marked.
    pub highlight: bool,
    /// How it searches.
    pub mode: Mode,
    /// The vectors to compare with.
    pub targets: Targets,
    /// How lists are fused, and their weights.
    pub fusion: Fusion,
    /// The most hits on the page.
    pub limit: usize,
    /// Hits to skip before the page.
    pub offset: usize,
    /// The least score of a hit.
    pub min_score: Option<f32>,
    /// Which hits are not sure enough.
    pub cut: Cut,
    /// The filter, not parsed yet: its meaning depends on the collection's fields.
    pub filter: Option<serde_json::Value>,
    /// Order, facets, groups and paging.
    pub view: View,
    /// Whether to compare with every vector instead of using the index.
    pub exact: bool,
    /// Candidates that a graph search keeps; `None`: the collection's setting.
    pub ef: Option<usize>,
    /// Inverted lists that a search reads; `None`: the collection's setting.
    pub nprobe: Option<usize>,
    /// Whether hits have their vectors.
    pub with_vectors: bool,
}

impl Query {
    /// The most parts of one query.
    pub const MAX_PARTS: usize = 32;
    /// The most hits of one page.
    pub const MAX_LIMIT: usize = 1000;
    /// The most hits that are skipped.
    pub const MAX_OFFSET: usize = 10_000;
    /// The largest `ef` or `nprobe`.
    pub const MAX_EFFORT: usize = 65_536;

    /// The query of the keyword list. Only text that was written as a keyword query has operators;
    /// a text that is also searched by vector contributes plain words.
    pub(crate) fn keyword_query(&self) -> KeywordQuery {
        self.parsed().with_typos(self.typos)
    }

    /// Checks the query against the bounds above, and its keywords against those of the index.
    ///
    /// # Errors
    /// [`EngineError::InvalidField`] names the field that is out of bounds;
    /// [`IndexError::QueryTooLarge`] for the keywords.
    pub fn check_bounds(&self) -> Result<(), EngineError> {
        let invalid = |message| Err(EngineError::InvalidField(message));
        if self.parts.len() > Self::MAX_PARTS {
            let (count, most) = (self.parts.len(), Self::MAX_PARTS);
            return invalid(format!("'query' has {count} parts; the limit is {most}"));
        }
        for (name, value, range) in [
            ("ef", self.ef, 1..=Self::MAX_EFFORT),
            ("nprobe", self.nprobe, 1..=Self::MAX_EFFORT),
            ("limit", Some(self.limit), 1..=Self::MAX_LIMIT),
            ("offset", Some(self.offset), 0..=Self::MAX_OFFSET),
        ] {
            if let Some(value) = value.filter(|value| !range.contains(value)) {
                let (least, most) = range.into_inner();
                return invalid(format!(
                    "'{name}' is {value}; it must be from {least} to {most}"
                ));
            }
        }
        if self.offset > 0 && self.view.cursor.is_some() {
            return invalid("'offset' and 'cursor' exclude each other".to_owned());
        }
        if self.wants(ListKind::Keyword) {
            self.parsed().check().map_err(IndexError::from)?;
        }
        Ok(())
    }

    /// The words that `keywords` exclude, if other lists are read too: hits of those lists must not
    /// contain them either.
    pub(crate) fn exclusions(&self) -> Option<KeywordQuery> {
        let keywords = self.keywords.as_deref()?;
        match self.mode {
            Mode::Hybrid => KeywordQuery::parse(keywords).exclusions(),
            Mode::Keyword | Mode::Vector | Mode::Browse => None,
        }
    }

    fn parsed(&self) -> KeywordQuery {
        if let Some(keywords) = &self.keywords {
            return KeywordQuery::parse(keywords);
        }
        let texts = self
            .parts
            .iter()
            .filter(|part| part.weight > 0.0)
            .filter_map(|part| match &part.content {
                Content::Text(text) => Some(text.as_str()),
                _ => None,
            });
        let words = texts.collect::<Vec<_>>().join(" ");
        match self.mode {
            Mode::Keyword => KeywordQuery::parse(&words),
            Mode::Hybrid | Mode::Vector | Mode::Browse => KeywordQuery::plain(&words),
        }
    }

    /// The kind of its parts with a positive weight, if all have one kind.
    pub(crate) fn modality(&self) -> Option<Modality> {
        let mut kinds = self
            .parts
            .iter()
            .filter(|part| part.weight > 0.0)
            .map(|part| match part.content {
                Content::Text(_) => Some(Modality::Text),
                Content::Image(_) | Content::ImageOf(_) => Some(Modality::Image),
                Content::Vector(_) => None,
            });
        let first = kinds.next()??;
        kinds.all(|kind| kind == Some(first)).then_some(first)
    }

    /// Whether all its parts with a positive weight are images, and it has no keywords.
    pub(crate) fn is_by_images_only(&self) -> bool {
        let has_words = match self.mode {
            Mode::Vector => false,
            Mode::Hybrid => self.keywords.is_some(),
            Mode::Keyword | Mode::Browse => true,
        };
        !has_words && self.modality() == Some(Modality::Image)
    }

    pub(crate) fn wants(&self, list: ListKind) -> bool {
        let vectors = matches!(self.mode, Mode::Hybrid | Mode::Vector) && !self.parts.is_empty();
        match list {
            ListKind::Keyword => matches!(self.mode, Mode::Hybrid | Mode::Keyword),
            ListKind::Image => vectors && self.targets.image,
            ListKind::Text => vectors && self.targets.text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query() -> Query {
        crate::testing::by_keywords("a")
    }

    #[test]
    fn a_query_out_of_bounds_is_refused_by_field() {
        assert!(query().check_bounds().is_ok());
        let part = || Part {
            content: Content::Text("a".to_owned()),
            weight: 1.0,
        };
        let with = |name: &str, value: usize| {
            let mut query = query();
            match name {
                "ef" => query.ef = Some(value),
                "nprobe" => query.nprobe = Some(value),
                "limit" => query.limit = value,
                _ => query.offset = value,
            }
            query.check_bounds().map_err(|error| error.to_string())
        };
        for (name, least, most) in [
            ("ef", 1, 65_536),
            ("nprobe", 1, 65_536),
            ("limit", 1, 1000),
            ("offset", 0, 10_000),
        ] {
            assert_eq!(with(name, least), Ok(()), "{name}");
            assert_eq!(with(name, most), Ok(()), "{name}");
            let message = with(name, most + 1).unwrap_err();
            assert!(message.contains(&format!("'{name}'")), "{message}");
            assert_eq!(with(name, 0).is_ok(), least == 0, "{name}");
        }
        let mut many = query();
        many.parts = std::iter::repeat_with(part)
            .take(Query::MAX_PARTS)
            .collect();
        assert!(many.check_bounds().is_ok());
        many.parts.push(part());
        assert!(many.check_bounds().is_err());
    }
}
