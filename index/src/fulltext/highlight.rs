//! Highlighting: fragments of a hit in which the query's words are marked.
//!
//! A fragment is HTML: `&`, `<`, `>`, `"` and `'` of the text are escaped, and the only elements are
//! the marks, `<mark>…</mark>`. It begins and ends between words, with `…` where the text continues.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::{Map, Value};

use super::analysis::{Analyzer, Word, beginning, each_word};
use super::schema::each_string;
use super::text_config::TextConfig;

/// Approximate bytes of a fragment. A text that is not longer is returned completely.
const FRAGMENT_BYTES: usize = 240;

/// Fragments of one text.
const MOST_FRAGMENTS: usize = 3;

/// Strings of one field, such as tags, that are returned.
const MOST_STRINGS: usize = 10;

/// Bytes of one document that are searched.
const MOST_BYTES: usize = 1 << 20;

/// Bytes of a document that are searched for any number of hits.
const LEAST_BYTES: usize = 64 << 10;

/// Bytes of all hits together that are searched, unless [`LEAST_BYTES`] of each are more.
const MOST_BYTES_OF_HITS: usize = 32 << 20;

/// Marks in one text.
const MOST_MARKS: usize = 10_000;

/// Words of a phrase that are compared.
const MOST_OF_PHRASE: usize = 64;

/// Where a query searches a word.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Scope {
    Anywhere,
    /// This path of the metadata.
    Field(String),
    /// The word is excluded, so it is never marked.
    Nowhere,
}

/// The words that a query searches.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct HighlightTerms(HashMap<(Scope, Analyzer), Patterns>);

#[derive(Debug, Clone, Default, PartialEq)]
struct Patterns {
    stems: HashSet<String>,
    prefixes: Vec<String>,
    /// Stems with their distance from the first one.
    phrases: Vec<Vec<(usize, String)>>,
}

impl HighlightTerms {
    pub(super) fn word(&mut self, scope: Scope, analyzer: Analyzer, stem: String) {
        self.of(scope, analyzer).stems.insert(stem);
    }

    pub(super) fn prefix(
        &mut self,
        scope: Scope,
        analyzer: Analyzer,
        prefix: String,
        stem: String,
    ) {
        let patterns = self.of(scope, analyzer);
        patterns.prefixes.push(prefix);
        patterns.stems.insert(stem);
    }

    pub(super) fn phrase(&mut self, scope: Scope, analyzer: Analyzer, words: &[&Word]) {
        let Some(first) = words.first() else { return };
        let phrase = words
            .iter()
            .take(MOST_OF_PHRASE)
            .map(|word| (word.position - first.position, word.stem.clone()))
            .collect();
        self.of(scope, analyzer).phrases.push(phrase);
    }

    fn of(&mut self, scope: Scope, analyzer: Analyzer) -> &mut Patterns {
        self.0.entry((scope, analyzer)).or_default()
    }
}

/// Marks the words of one query in documents.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Highlighter {
    terms: HighlightTerms,
    text_config: TextConfig,
    /// Bytes of one document that are searched.
    most_bytes: usize,
}

impl Highlighter {
    pub(super) fn new(terms: HighlightTerms, text_config: TextConfig) -> Self {
        Self {
            terms,
            text_config,
            most_bytes: MOST_BYTES,
        }
    }

    /// The highlighter for a page of this many hits: it searches the first MiB of each document, and
    /// less if there are many.
    #[must_use]
    pub fn for_hits(self, hits: usize) -> Self {
        let most_bytes = (MOST_BYTES_OF_HITS / hits.max(1)).clamp(LEAST_BYTES, MOST_BYTES);
        Self { most_bytes, ..self }
    }

    /// The marked fragments of a document: under `text` the best fragments of its text, in their
    /// order; under `metadata.…` those of each string of the metadata. Parts without a match are
    /// absent.
    pub fn highlight(
        &self,
        text: Option<&str>,
        metadata: &Map<String, Value>,
    ) -> BTreeMap<String, Vec<String>> {
        let mut highlights = BTreeMap::new();
        if self.terms.0.is_empty() {
            return highlights;
        }
        let mut left = self.most_bytes;
        if let Some(text) = text {
            let found = self.fragments(None, self.text_config.analyzer, text, &mut left);
            if !found.is_empty() {
                highlights.insert("text".to_owned(), found);
            }
        }
        each_string("", metadata, &mut |path, text| {
            let analyzer = self.text_config.analyzer_of(path);
            let found = self.fragments(Some(path), analyzer, text, &mut left);
            if !found.is_empty() {
                let of_field = highlights
                    .entry(format!("metadata.{path}"))
                    .or_insert_with(Vec::new);
                of_field.extend(found);
                of_field.truncate(MOST_STRINGS);
            }
        });
        highlights
    }

    fn fragments(
        &self,
        path: Option<&str>,
        analyzer: Analyzer,
        text: &str,
        left: &mut usize,
    ) -> Vec<String> {
        let in_field = path.map(|path| Scope::Field(path.to_owned()));
        let patterns: Vec<&Patterns> = [Some(Scope::Anywhere), in_field]
            .into_iter()
            .flatten()
            .filter_map(|scope| self.terms.0.get(&(scope, analyzer)))
            .collect();
        if patterns.is_empty() {
            return Vec::new();
        }
        let searched = beginning(text, *left);
        *left -= searched.len();
        let marks = marks(&patterns, analyzer, searched);
        choose(text, &marks)
            .into_iter()
            .map(|fragment| render(text, fragment, &marks))
            .collect()
    }
}

/// A span of the text to mark.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mark {
    start: usize,
    end: usize,
    /// The stem of the marked word: repeated words do not make a fragment better.
    stem: String,
}

/// The marks of a text, in order and without overlaps.
fn marks(patterns: &[&Patterns], analyzer: Analyzer, text: &str) -> Vec<Mark> {
    let mut phrases: HashMap<&str, Vec<&[(usize, String)]>> = HashMap::new();
    for phrase in patterns.iter().flat_map(|of| &of.phrases) {
        if let Some(((_, first), rest)) = phrase.split_first() {
            phrases.entry(first).or_default().push(rest);
        }
    }
    let mut marks = Vec::new();
    let mut words: Vec<Word> = Vec::new();
    each_word(analyzer, text, |word| {
        let matches = marks.len() < MOST_MARKS
            && patterns.iter().any(|of| {
                of.stems.contains(&word.stem)
                    || of
                        .prefixes
                        .iter()
                        .any(|prefix| word.surface.starts_with(prefix.as_str()))
            });
        if matches {
            marks.push(Mark {
                start: word.start,
                end: word.end,
                stem: word.stem.clone(),
            });
        }
        if !phrases.is_empty() {
            words.push(word);
        }
    });
    add_phrases(&phrases, &words, &mut marks);
    marks.sort_by(|a, b| a.start.cmp(&b.start).then(b.end.cmp(&a.end)));
    let mut disjoint: Vec<Mark> = Vec::with_capacity(marks.len());
    for mark in marks {
        match disjoint.last_mut() {
            Some(last) if mark.start < last.end => last.end = last.end.max(mark.end),
            _ => disjoint.push(mark),
        }
    }
    disjoint
}

/// Adds the marks of phrases, which are given by their first word with the words after it.
fn add_phrases(
    phrases: &HashMap<&str, Vec<&[(usize, String)]>>,
    words: &[Word],
    marks: &mut Vec<Mark>,
) {
    for (at, start) in words.iter().enumerate() {
        if marks.len() >= 2 * MOST_MARKS {
            return;
        }
        for rest in phrases.get(start.stem.as_str()).into_iter().flatten() {
            if let Some(end) = phrase_end(rest, start, &words[at..]) {
                marks.push(Mark {
                    start: start.start,
                    end,
                    stem: start.stem.clone(),
                });
            }
        }
    }
}

/// The end of the phrase that begins with `start`, if the words from there on are the phrase.
fn phrase_end(rest: &[(usize, String)], start: &Word, mut words: &[Word]) -> Option<usize> {
    let mut end = start.end;
    for (distance, stem) in rest {
        let position = start.position + distance;
        let before = words.iter().take_while(|word| word.position < position);
        words = &words[before.count()..];
        let word = words
            .iter()
            .take_while(|word| word.position == position)
            .find(|word| word.stem == *stem)?;
        end = end.max(word.end);
    }
    Some(end)
}

/// The spans of the text to return: those with the most distinct words, in their order.
fn choose(text: &str, marks: &[Mark]) -> Vec<(usize, usize)> {
    if marks.is_empty() {
        return Vec::new();
    }
    if text.len() <= FRAGMENT_BYTES {
        return vec![(0, text.len())];
    }
    // From each mark on, as many as fit into a fragment.
    let mut windows: Vec<(usize, usize, usize)> = Vec::with_capacity(marks.len());
    for (first, mark) in marks.iter().enumerate() {
        let within: Vec<&Mark> = marks[first..]
            .iter()
            .take_while(|other| other.end <= mark.start + FRAGMENT_BYTES * 2 / 3)
            .collect();
        let different: HashSet<&str> = within.iter().map(|mark| mark.stem.as_str()).collect();
        let end = within.last().map_or(mark.end, |last| last.end);
        windows.push((different.len(), mark.start, end));
    }
    windows.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    let mut chosen: Vec<(usize, usize)> = Vec::new();
    for (_, start, end) in windows {
        if chosen.len() == MOST_FRAGMENTS {
            break;
        }
        let around = FRAGMENT_BYTES.saturating_sub(end - start) / 2;
        let from = word_start(text, start.saturating_sub(around), start);
        let to = word_end(text, (end + around).min(text.len()), end);
        if chosen.iter().all(|other| to <= other.0 || other.1 <= from) {
            chosen.push((from, to));
        }
    }
    chosen.sort_unstable();
    chosen
}

/// The first start of a word from `at` on and before `latest`.
fn word_start(text: &str, at: usize, latest: usize) -> usize {
    if at == 0 {
        return 0;
    }
    let at = (at..latest)
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(latest);
    text[at..latest]
        .find(char::is_whitespace)
        .map_or(at, |space| {
            let after = &text[at + space..latest];
            latest - after.trim_start().len()
        })
}

/// The last end of a word up to `at` and after `earliest`.
fn word_end(text: &str, at: usize, earliest: usize) -> usize {
    if at == text.len() {
        return at;
    }
    let at = (earliest..=at)
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(earliest);
    text[earliest..at]
        .rfind(char::is_whitespace)
        .map_or(at, |space| {
            earliest + text[earliest..earliest + space].trim_end().len()
        })
}

fn render(text: &str, (from, to): (usize, usize), marks: &[Mark]) -> String {
    let mut html = String::with_capacity(to - from + 64);
    if from > 0 {
        html.push_str("… ");
    }
    let mut at = from;
    for mark in marks
        .iter()
        .filter(|mark| from <= mark.start && mark.end <= to)
    {
        escape(&text[at..mark.start], &mut html);
        html.push_str("<mark>");
        escape(&text[mark.start..mark.end], &mut html);
        html.push_str("</mark>");
        at = mark.end;
    }
    escape(&text[at..to], &mut html);
    if to < text.len() {
        html.push_str(" …");
    }
    html
}

fn escape(text: &str, html: &mut String) {
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            c => html.push(c),
        }
    }
}
