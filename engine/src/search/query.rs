//! A search request: the content to search for, the documents to search in, and how to rank them.

use clipdb_index::fusion::Fusion;
use clipdb_index::{IndexError, KeywordQuery, ListKind};
use clipdb_storage::DocumentId;

use crate::image_source::ImageSource;
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
    /// The query of the keyword list. Only text that was written as a keyword query has operators;
    /// a text that is also searched by vector contributes plain words.
    pub(crate) fn keyword_query(&self) -> KeywordQuery {
        self.parsed().with_typos(self.typos)
    }

    /// Fails if the keyword query is too large.
    ///
    /// # Errors
    /// [`IndexError`] with the limit that is exceeded.
    pub fn check_words(&self) -> Result<(), IndexError> {
        if self.wants(ListKind::Keyword) {
            self.parsed().check()?;
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

    /// Whether all its parts with a positive weight are images, and it has no keywords.
    pub(crate) fn is_by_images_only(&self) -> bool {
        let has_words = match self.mode {
            Mode::Vector => false,
            Mode::Hybrid => self.keywords.is_some(),
            Mode::Keyword | Mode::Browse => true,
        };
        let is_image =
            |part: &Part| matches!(part.content, Content::Image(_) | Content::ImageOf(_));
        let mut positive_parts = self
            .parts
            .iter()
            .filter(|part| part.weight > 0.0)
            .peekable();
        !has_words && positive_parts.peek().is_some() && positive_parts.all(is_image)
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
