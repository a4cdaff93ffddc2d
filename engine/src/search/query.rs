//! A search on its way in, checked: what to look for, where, and how to rank it.

use clipdb_index::fusion::Fusion;
use clipdb_index::{IndexError, KeywordQuery, ListKind};
use clipdb_storage::DocumentId;

use crate::error::EngineError;
use crate::image_source::ImageSource;
use crate::search::view::View;

/// One thing to look for; several are summed by weight.
#[derive(Debug, Clone)]
pub struct Part {
    pub content: Content,
    /// Negative pushes away.
    pub weight: f32,
}

#[derive(Debug, Clone)]
pub enum Content {
    Text(String),
    Image(ImageSource),
    /// The stored image vector of a document of the same collection.
    ImageOf(DocumentId),
    /// Given numbers, in the collection's dimension; any length, not zero.
    Vector(Vec<f32>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Hybrid,
    Vector,
    Keyword,
    /// Nothing is looked for: what passes the filter, in the order of fields.
    Browse,
}

/// Which of a document's vectors the query is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Targets {
    pub image: bool,
    pub text: bool,
}

impl Targets {
    pub const BOTH: Self = Self {
        image: true,
        text: true,
    };
}

#[derive(Debug, Clone)]
pub struct Query {
    pub parts: Vec<Part>,
    /// Words for the keyword side; without them the texts with a positive weight.
    pub keywords: Option<String>,
    /// Whether a word that no document holds also finds the words nearest to it.
    pub typos: bool,
    /// Whether the hits show where the words stand.
    pub highlight: bool,
    pub mode: Mode,
    pub targets: Targets,
    pub fusion: Fusion,
    pub limit: usize,
    pub offset: usize,
    pub min_score: Option<f32>,
    /// Which documents count; as it came, since its collection's fields tell what it means.
    pub filter: Option<serde_json::Value>,
    pub view: View,
    /// Whether everything is compared, whatever the index.
    pub exact: bool,
    /// Candidates that a graph search keeps; the collection's number if not given.
    pub ef: Option<usize>,
    /// Lists that a search of an inverted file looks into; the collection's number if not given.
    pub nprobe: Option<usize>,
    /// Whether hits carry their vectors.
    pub with_vectors: bool,
}

impl Query {
    /// What the keyword list is asked for. Only what was written for it is read as a
    /// query; a sentence that is searched by meaning gives its plain words.
    pub(crate) fn words(&self) -> KeywordQuery {
        self.parsed().with_typos(self.typos)
    }

    /// The most parts of one query.
    pub const MAX_PARTS: usize = 32;
    /// The most hits of one page.
    pub const MAX_LIMIT: usize = 1000;
    pub const MAX_OFFSET: usize = 10_000;
    /// The largest `ef` or `nprobe`.
    pub const MAX_EFFORT: usize = 65_536;

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

    /// What `keywords` say must not occur, where other lists than theirs are read too: no hit
    /// of these may hold it.
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

    /// Whether it looks for nothing but images; what it pushes away may be anything.
    pub(crate) fn is_by_images_alone(&self) -> bool {
        let has_words = match self.mode {
            Mode::Vector => false,
            Mode::Hybrid => self.keywords.is_some(),
            Mode::Keyword | Mode::Browse => true,
        };
        let is_image =
            |part: &Part| matches!(part.content, Content::Image(_) | Content::ImageOf(_));
        let mut sought = self
            .parts
            .iter()
            .filter(|part| part.weight > 0.0)
            .peekable();
        !has_words && sought.peek().is_some() && sought.all(is_image)
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
        Query {
            parts: Vec::new(),
            keywords: Some("a".to_owned()),
            typos: true,
            highlight: false,
            mode: Mode::Keyword,
            targets: Targets::BOTH,
            fusion: Fusion::default(),
            limit: 10,
            offset: 0,
            min_score: None,
            filter: None,
            view: View::default(),
            exact: false,
            ef: None,
            nprobe: None,
            with_vectors: false,
        }
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
