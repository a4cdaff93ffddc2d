//! The places of a hit that a query's words stand at, cut out and marked.
//!
//! A fragment is HTML: the text's own `&`, `<`, `>`, `"` and `'` are escaped, and only the
//! marks, `<mark>…</mark>`, are elements. It begins and ends between words, with `…` where
//! the text goes on.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::{Map, Value};

use super::analysis::{Analyzer, Word, each_word};
use super::choice::Wording;
use super::schema::each_string;

/// Bytes of a fragment, roughly; a text that is no longer is shown whole.
const FRAGMENT_BYTES: usize = 240;

/// Fragments of one text.
const MOST_FRAGMENTS: usize = 3;

/// Strings of one field, such as tags, that are shown.
const MOST_STRINGS: usize = 10;

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

    pub(super) fn phrase(&mut self, scope: Scope, analyzer: Analyzer, words: &[Word]) {
        let Some(first) = words.first() else { return };
        let phrase = words
            .iter()
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
}

impl Highlighter {
    pub(super) fn new(sought: Sought, wording: Wording) -> Self {
        Self { sought, wording }
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
        if let Some(text) = text {
            let found = self.fragments(None, self.wording.analyzer, text);
            if !found.is_empty() {
                highlights.insert("text".to_owned(), found);
            }
        }
        each_string("", metadata, &mut |path, text| {
            let analyzer = self.wording.analyzer_of(path);
            let found = self.fragments(Some(path), analyzer, text);
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

    fn fragments(&self, path: Option<&str>, analyzer: Analyzer, text: &str) -> Vec<String> {
        let in_field = path.map(|path| Scope::Field(path.to_owned()));
        let patterns: Vec<&Patterns> = [Some(Scope::Anywhere), in_field]
            .into_iter()
            .flatten()
            .filter_map(|scope| self.sought.0.get(&(scope, analyzer)))
            .collect();
        if patterns.is_empty() {
            return Vec::new();
        }
        let marks = marks(&patterns, analyzer, text);
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
    let has_phrases = patterns.iter().any(|of| !of.phrases.is_empty());
    let mut marks = Vec::new();
    let mut words: Vec<Word> = Vec::new();
    each_word(analyzer, text, |word| {
        let sought = patterns.iter().any(|of| {
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
        if has_phrases {
            words.push(word);
        }
    });
    for phrase in patterns.iter().flat_map(|of| &of.phrases) {
        add_phrase(phrase, &words, &mut marks);
    }
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

fn add_phrase(phrase: &[(usize, String)], words: &[Word], marks: &mut Vec<Mark>) {
    let Some(((_, first), rest)) = phrase.split_first() else {
        return;
    };
    for (at, start) in words.iter().enumerate() {
        if start.stem != *first {
            continue;
        }
        let mut end = start.end;
        let whole = rest.iter().all(|(distance, stem)| {
            let position = start.position + distance;
            words[at..]
                .iter()
                .take_while(|word| word.position <= position)
                .find(|word| word.position == position && word.stem == *stem)
                .is_some_and(|word| {
                    end = end.max(word.end);
                    true
                })
        });
        if whole {
            marks.push(Mark {
                start: start.start,
                end,
                stem: start.stem.clone(),
            });
        }
    }
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
