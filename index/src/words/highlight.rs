//! The places of a hit that a query's words stand at, cut out and marked.
//!
//! A fragment is HTML: the text's own `&`, `<`, `>`, `"` and `'` are escaped, and only the
//! marks, `<mark>…</mark>`, are elements. It begins and ends between words, with `…` where
//! the text goes on.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::{Map, Value};

use super::analysis::{Analyzer, Word, beginning, each_word};
use super::choice::Wording;
use super::schema::each_string;

/// Bytes of a fragment, roughly; a text that is no longer is shown whole.
const FRAGMENT_BYTES: usize = 240;

/// Fragments of one text.
const MOST_FRAGMENTS: usize = 3;

/// Strings of one field, such as tags, that are shown.
const MOST_STRINGS: usize = 10;

/// Bytes of one document that are looked at.
const MOST_BYTES: usize = 1 << 20;

/// Bytes of a document that are looked at however many hits there are.
const LEAST_BYTES: usize = 64 << 10;

/// Bytes of all hits together that are looked at, unless [`LEAST_BYTES`] of each are more.
const MOST_BYTES_OF_HITS: usize = 32 << 20;

/// Places in one text that are marked.
const MOST_MARKS: usize = 10_000;

/// Words of a phrase that are compared.
const MOST_OF_PHRASE: usize = 64;

/// Where a query looks for a word.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Scope {
    Anywhere,
    /// This path of the metadata.
    Field(String),
    /// It must not occur, so there is nothing to show.
    Nowhere,
}

/// The words that a query looks for.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Sought(HashMap<(Scope, Analyzer), Patterns>);

#[derive(Debug, Clone, Default, PartialEq)]
struct Patterns {
    stems: HashSet<String>,
    prefixes: Vec<String>,
    /// Stems with their distance from the first.
    phrases: Vec<Vec<(usize, String)>>,
}

impl Sought {
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

/// Marks what one query looked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Highlighter {
    sought: Sought,
    wording: Wording,
    /// Of one document.
    most_bytes: usize,
}

impl Highlighter {
    pub(super) fn new(sought: Sought, wording: Wording) -> Self {
        Self {
            sought,
            wording,
            most_bytes: MOST_BYTES,
        }
    }

    /// For so many hits together: of each document the first MiB is looked at, and less where
    /// they are many.
    #[must_use]
    pub fn for_hits(self, hits: usize) -> Self {
        let most_bytes = (MOST_BYTES_OF_HITS / hits.max(1)).clamp(LEAST_BYTES, MOST_BYTES);
        Self { most_bytes, ..self }
    }

    /// The marked fragments of a document: under `text` its text's best ones in their order,
    /// under `metadata.…` those of each string of the metadata. What has no match is absent.
    pub fn highlight(
        &self,
        text: Option<&str>,
        metadata: &Map<String, Value>,
    ) -> BTreeMap<String, Vec<String>> {
        let mut highlights = BTreeMap::new();
        if self.sought.0.is_empty() {
            return highlights;
        }
        let mut left = self.most_bytes;
        if let Some(text) = text {
            let found = self.fragments(None, self.wording.analyzer, text, &mut left);
            if !found.is_empty() {
                highlights.insert("text".to_owned(), found);
            }
        }
        each_string("", metadata, &mut |path, text| {
            let analyzer = self.wording.analyzer_of(path);
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
            .filter_map(|scope| self.sought.0.get(&(scope, analyzer)))
            .collect();
        if patterns.is_empty() {
            return Vec::new();
        }
        let looked_at = beginning(text, *left);
        *left -= looked_at.len();
        let marks = marks(&patterns, analyzer, looked_at);
        choose(text, &marks)
            .into_iter()
            .map(|fragment| show(text, fragment, &marks))
            .collect()
    }
}

/// A stretch of the text to mark.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mark {
    start: usize,
    end: usize,
    /// What stands there; the same word again adds less to a fragment.
    stem: String,
}

/// In their order and apart from each other.
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
        let sought = marks.len() < MOST_MARKS
            && patterns.iter().any(|of| {
                of.stems.contains(&word.stem)
                    || of
                        .prefixes
                        .iter()
                        .any(|prefix| word.surface.starts_with(prefix.as_str()))
            });
        if sought {
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
    let mut apart: Vec<Mark> = Vec::with_capacity(marks.len());
    for mark in marks {
        match apart.last_mut() {
            Some(last) if mark.start < last.end => last.end = last.end.max(mark.end),
            _ => apart.push(mark),
        }
    }
    apart
}

/// Phrases by their first word, with what follows it.
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

/// Where a phrase ends whose first word is `start`, if the words from there on are it.
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

/// The stretches of the text to show: those with the most different words, in their order.
fn choose(text: &str, marks: &[Mark]) -> Vec<(usize, usize)> {
    if marks.is_empty() {
        return Vec::new();
    }
    if text.len() <= FRAGMENT_BYTES {
        return vec![(0, text.len())];
    }
    // From each mark on, as many as one fragment holds.
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

/// The first place from `at` on, and before `latest`, where a word begins.
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

/// The last place up to `at`, and after `earliest`, where a word ends.
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

fn show(text: &str, (from, to): (usize, usize), marks: &[Mark]) -> String {
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
