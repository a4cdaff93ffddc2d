//! A keyword query as tantivy's queries, the score that a full match would have, and what
//! a highlighter has to look for.

use std::collections::{BTreeMap, HashSet};

use tantivy::query::{
    AllQuery, BooleanQuery, BoostQuery, ConstScoreQuery, DisjunctionMaxQuery, EmptyQuery, Occur,
    PhraseQuery, Query, TermQuery, TermSetQuery,
};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{Searcher, Term};

use super::analysis::{Analyzer, Role, Word, words};
use super::bounds::{
    self, LONGEST_MISSPELT, MOST_LOOKED_UP, MOST_MISSPELT, MOST_PARTS, MOST_PLAIN, MOST_TOGETHER,
    Spent,
};
use super::choice::Wording;
use super::highlight::{Scope, Sought};
use super::parse::{Clause, KeywordQuery, Need};
use super::schema::Fields;
use super::vocabulary::{self, Meant};
use crate::error::IndexError;

/// What a word counts for when one letter of it is not as it was asked for, or two are.
const WORTH_OF_ONE_TYPO: f32 = 0.5;
const WORTH_OF_TWO_TYPOS: f32 = 0.25;

/// What a document gains that has the parts of a word together and that word in one, which is
/// how it is written with a hyphen.
const WORTH_OF_BOTH: f32 = 0.5;

/// Of which each finds what is meant.
type Ways = Vec<Box<dyn Query>>;

/// What to ask tantivy.
pub(super) struct Compiled {
    pub(super) query: BooleanQuery,
    /// Whether it looks for something, and does not only leave out.
    pub(super) asks: bool,
    /// The score of a document of average length that holds each asked word once.
    pub(super) full_score: f32,
    /// What to mark in the hits.
    pub(super) sought: Sought,
}

/// `None` when nothing is left to look for: no words. Where there are only such as must not
/// occur, every document without them is found, and none is better than another.
pub(super) fn compile(
    query: &KeywordQuery,
    fields: &Fields,
    wording: &Wording,
    searcher: &Searcher,
) -> Result<Option<Compiled>, IndexError> {
    query.check()?;
    let mut compiler = Compiler {
        fields,
        wording,
        analyzers: wording.analyzers(),
        searcher,
        typos: query.typos,
        is_sentence: query.is_sentence,
        counts_words: !query.is_sentence && bounds::may_have_too_many_words(query.bytes),
        spent: Spent::default(),
        reading_stop_words: Vec::new(),
        misspelt: 0,
        together: 0,
        pieces: Vec::new(),
        clauses: Vec::new(),
        seen: HashSet::new(),
        frequencies: Vec::new(),
        sought: Sought::default(),
    };
    compiler.read_stop_words(query)?;
    for clause in &query.clauses {
        compiler.add(clause)?;
    }
    compiler.add_pieces()?;
    if compiler.clauses.is_empty() {
        return Ok(None);
    }
    Ok(Some(compiler.finish()))
}

struct Compiler<'a> {
    fields: &'a Fields,
    wording: &'a Wording,
    /// Those in use, the default one first.
    analyzers: Vec<Analyzer>,
    /// Those to which the query says nothing but stop words, which then count.
    reading_stop_words: Vec<Analyzer>,
    searcher: &'a Searcher,
    typos: bool,
    is_sentence: bool,
    /// Whether the query is long enough to have too many words.
    counts_words: bool,
    spent: Spent,
    misspelt: usize,
    /// Words of several parts that rank higher where these stand together.
    together: usize,
    /// The plain words.
    pieces: Vec<Piece>,
    clauses: Vec<(Occur, Box<dyn Query>)>,
    seen: HashSet<(Analyzer, String)>,
    /// Of each asked word, in how many documents it occurs.
    frequencies: Vec<u64>,
    sought: Sought,
}

/// A plain word, as each analyzer reads it.
struct Piece {
    words: Vec<(Analyzer, Word)>,
    /// In how many documents it occurs.
    known: u64,
}

/// Where words are looked for.
enum Place {
    Words {
        field: Field,
        boost: f32,
    },
    /// A path of the metadata.
    Path(Term),
}

impl Place {
    fn term(&self, stem: &str) -> Term {
        match self {
            Self::Words { field, .. } => Term::from_field_text(*field, stem),
            Self::Path(path) => {
                let mut term = path.clone();
                term.append_type_and_str(stem);
                term
            }
        }
    }

    fn weighed(&self, query: Box<dyn Query>) -> Box<dyn Query> {
        match self {
            Self::Words { boost, .. } if *boost != 1.0 => Box::new(BoostQuery::new(query, *boost)),
            Self::Words { .. } | Self::Path(_) => query,
        }
    }
}

impl Compiler<'_> {
    fn read_stop_words(&mut self, query: &KeywordQuery) -> Result<(), IndexError> {
        'analyzers: for analyzer in self.analyzers.clone() {
            for clause in &query.clauses {
                if self.says_something(analyzer, clause)? {
                    continue 'analyzers;
                }
            }
            self.reading_stop_words.push(analyzer);
        }
        Ok(())
    }

    /// Whether it finds something without a stop word among plain words.
    fn says_something(&self, analyzer: Analyzer, clause: &Clause) -> Result<bool, IndexError> {
        if clause.need == Need::MustNot {
            return Ok(false);
        }
        let any = |words: &[Word]| words.iter().any(|word| !word.stop);
        let said = words(analyzer, &clause.text);
        let plain = clause.need == Need::May && !clause.quoted && !clause.prefix;
        let says = if plain { any(&said) } else { !said.is_empty() };
        Ok(match &clause.field {
            None => says,
            Some(field) if clause.need == Need::Must || self.field_exists(field)? => {
                !said.is_empty()
            }
            // The name of no field is a word like others.
            Some(field) => says || any(&words(analyzer, field)),
        })
    }

    fn add(&mut self, clause: &Clause) -> Result<(), IndexError> {
        if self.is_sentence && self.seen.len() >= MOST_LOOKED_UP * self.analyzers.len() {
            return Ok(());
        }
        if self.counts_words {
            let count = words(self.wording.analyzer, &clause.text).len();
            self.spent.words(count)?;
        }
        if let Some(field) = &clause.field {
            if clause.need != Need::May || self.field_exists(field)? {
                return self.add_in_field(clause, field);
            }
            self.add_plain(field)?;
        }
        if clause.prefix {
            return self.add_prefix(clause.need.into(), &clause.text);
        }
        match clause.need {
            Need::May if !clause.quoted => self.add_plain(&clause.text),
            need => self.add_phrase(need.into(), &clause.text),
        }
    }

    /// Each word may occur; parts of one written word ("AB-1234") rank higher together.
    fn add_plain(&mut self, text: &str) -> Result<(), IndexError> {
        // The same piece of the text is one word, however the analyzers call it.
        let mut pieces: BTreeMap<(usize, usize), Vec<(Analyzer, Word)>> = BTreeMap::new();
        let mut new = false;
        let mut most_words = 0;
        for analyzer in self.analyzers.clone() {
            let mut words = words(analyzer, text);
            let stop_words_count = self.reading_stop_words.contains(&analyzer);
            most_words = most_words.max(exactly(&words).len());
            self.leave_parts_of_known_words(analyzer, &mut words)?;
            for word in words {
                if (word.stop && !stop_words_count)
                    || !self.seen.insert((analyzer, word.stem.clone()))
                {
                    continue;
                }
                new = true;
                let piece = (word.start, word.end);
                pieces.entry(piece).or_default().push((analyzer, word));
            }
        }
        for words in pieces.into_values() {
            let known = self.known(&words)?;
            self.pieces.push(Piece { words, known });
        }
        if new && (2..=MOST_PARTS).contains(&most_words) && self.together < MOST_TOGETHER {
            self.together += 1;
            let (mut ways, joined) = self.ways_anywhere(text, &Scope::Anywhere);
            ways.extend(joined);
            let together = DisjunctionMaxQuery::with_tie_breaker(ways, WORTH_OF_BOTH);
            self.clauses.push((Occur::Should, Box::new(together)));
        }
        Ok(())
    }

    /// Leaves the words that may occur each: parts of a longer word only where no document
    /// holds that one.
    fn leave_parts_of_known_words(
        &self,
        analyzer: Analyzer,
        words: &mut Vec<Word>,
    ) -> Result<(), IndexError> {
        words.retain(|word| !matches!(word.role, Role::Joined(_)));
        if words.iter().all(|word| word.role != Role::Inner) {
            return Ok(());
        }
        let places = self.places(analyzer);
        let mut is_known = false;
        let mut left = Vec::with_capacity(words.len());
        for word in words.drain(..) {
            match word.role {
                Role::Plain => is_known = self.most_frequent(&places, &word.stem)? > 0,
                Role::Inner if is_known => continue,
                Role::Inner | Role::Signed | Role::Joined(_) => {}
            }
            left.push(word);
        }
        *words = left;
        Ok(())
    }

    fn known(&self, words: &[(Analyzer, Word)]) -> Result<u64, IndexError> {
        let mut known = 0;
        for (analyzer, word) in words {
            known = known.max(self.most_frequent(&self.places(*analyzer), &word.stem)?);
        }
        Ok(known)
    }

    /// The plain words; of too many, the rarest that documents hold.
    fn add_pieces(&mut self) -> Result<(), IndexError> {
        let mut pieces = std::mem::take(&mut self.pieces);
        if pieces.len() > MOST_PLAIN {
            pieces.sort_by_key(|piece| (piece.known == 0, piece.known));
            pieces.truncate(MOST_PLAIN);
        }
        for piece in &pieces {
            self.add_piece(piece)?;
        }
        Ok(())
    }

    fn add_piece(&mut self, piece: &Piece) -> Result<(), IndexError> {
        let mut ways = Vec::new();
        for (analyzer, word) in &piece.words {
            self.sought
                .word(Scope::Anywhere, *analyzer, word.stem.clone());
            for place in self.places(*analyzer) {
                ways.push(place.weighed(term_query(place.term(&word.stem))));
            }
        }
        // A sign adds to a word that counts already.
        let counts = piece
            .words
            .iter()
            .any(|(analyzer, word)| *analyzer == self.wording.analyzer && word.role == Role::Plain);
        if counts {
            self.frequencies.push(piece.known);
        }
        if piece.known == 0 && self.typos && self.misspelt < MOST_MISSPELT {
            self.misspelt += 1;
            for (analyzer, word) in &piece.words {
                ways.extend(self.other_spellings(*analyzer, word)?);
            }
        }
        self.clauses.push((Occur::Should, either(ways)));
        Ok(())
    }

    fn other_spellings(
        &mut self,
        analyzer: Analyzer,
        word: &Word,
    ) -> Result<Vec<Box<dyn Query>>, IndexError> {
        let Some(vocabulary) = self.fields.vocabulary(analyzer) else {
            return Ok(Vec::new());
        };
        if analyzer == Analyzer::Exact || word.surface.len() > LONGEST_MISSPELT {
            return Ok(Vec::new());
        }
        let near = vocabulary::spellings(self.searcher, vocabulary, analyzer, &word.surface)?;
        let worth = if near.edits == 1 {
            WORTH_OF_ONE_TYPO
        } else {
            WORTH_OF_TWO_TYPOS
        };
        let mut ways: Vec<Box<dyn Query>> = Vec::new();
        for Meant { stem, .. } in near.stems {
            for place in self.places(analyzer) {
                let found = place.weighed(term_query(place.term(&stem)));
                ways.push(Box::new(BoostQuery::new(found, worth)));
            }
            self.sought.word(Scope::Anywhere, analyzer, stem);
        }
        Ok(ways)
    }

    fn add_phrase(&mut self, occur: Occur, text: &str) -> Result<(), IndexError> {
        let words = words(self.wording.analyzer, text);
        let exact = exactly(&words);
        if exact.len() > 1 {
            self.spent.phrase()?;
        }
        if occur != Occur::MustNot {
            for word in exact {
                let known = self.most_frequent(&self.places(self.wording.analyzer), &word.stem)?;
                self.frequencies.push(known);
            }
        }
        let analyzer = self.wording.analyzer;
        let stems = words.into_iter().map(|word| (analyzer, word.stem));
        self.seen.extend(stems);
        let scope = if occur == Occur::MustNot {
            Scope::Nowhere
        } else {
            Scope::Anywhere
        };
        let phrase = self.anywhere(text, &scope);
        if !phrase.is::<EmptyQuery>() {
            self.clauses.push((occur, phrase));
        }
        Ok(())
    }

    /// A word of which only the beginning is written: where it has several parts, the last.
    fn add_prefix(&mut self, occur: Occur, text: &str) -> Result<(), IndexError> {
        let mut ways = Vec::new();
        for analyzer in self.analyzers.clone() {
            let places = self.places(analyzer);
            let scope = if occur == Occur::MustNot {
                Scope::Nowhere
            } else {
                Scope::Anywhere
            };
            let (way, frequency) = self.beginning_with(analyzer, &places, text, scope)?;
            ways.extend(way);
            if analyzer == self.wording.analyzer && occur != Occur::MustNot {
                self.frequencies.push(frequency);
            }
        }
        if !ways.is_empty() {
            self.clauses.push((occur, either(ways)));
        }
        Ok(())
    }

    /// The words before the last one as they are, and any that begins with the last; with
    /// in about how many documents such a word occurs.
    fn beginning_with(
        &mut self,
        analyzer: Analyzer,
        places: &[Place],
        text: &str,
        scope: Scope,
    ) -> Result<(Option<Box<dyn Query>>, u64), IndexError> {
        let mut words = words(analyzer, text);
        words.retain(|word| word.role == Role::Plain);
        let (Some(last), Some(vocabulary)) = (words.pop(), self.fields.vocabulary(analyzer)) else {
            return Ok((None, 0));
        };
        let completions =
            vocabulary::completions(self.searcher, vocabulary, &last.surface, &mut self.spent)?;
        let documents = self.searcher.num_docs();
        let frequency = completions
            .iter()
            .map(|meant| meant.documents)
            .sum::<u64>()
            .min(documents);
        let mut endings: Vec<Box<dyn Query>> = Vec::new();
        for place in places {
            let terms = completions.iter().map(|meant| place.term(&meant.stem));
            let any = Box::new(TermSetQuery::new(terms));
            // Each counts as one word that stands wherever any of them does: the rarest
            // completion is not the likeliest. The word as it is written counts as itself.
            let rarity = inverse_frequency(frequency, documents);
            endings.push(place.weighed(Box::new(ConstScoreQuery::new(any, rarity))));
            endings.push(place.weighed(term_query(place.term(&last.stem))));
        }
        self.sought
            .prefix(scope.clone(), analyzer, last.surface, last.stem);
        let mut all = vec![(Occur::Must, either(endings))];
        for word in words {
            let ways = places
                .iter()
                .map(|place| place.weighed(term_query(place.term(&word.stem))));
            all.push((Occur::Must, either(ways.collect())));
            self.sought.word(scope.clone(), analyzer, word.stem);
        }
        Ok((Some(Box::new(BooleanQuery::new(all))), frequency))
    }

    fn add_in_field(&mut self, clause: &Clause, field: &str) -> Result<(), IndexError> {
        let scope = if clause.need == Need::MustNot {
            Scope::Nowhere
        } else {
            Scope::Field(field.to_owned())
        };
        let counts = clause.need != Need::MustNot;
        let path = Term::from_field_json_path(self.fields.metadata, field, true);
        let mut ways: Vec<Box<dyn Query>> = Vec::new();
        let number = tantivy::json_utils::convert_to_fast_value_and_append_to_json_term(
            &path,
            &clause.text,
            true,
        );
        if let Some(term) = number {
            let known = self.frequency(&term)?;
            self.frequencies.push(known);
            ways.push(term_query(term));
        }
        let (analyzer, place) = match (self.fields.own.get(field), self.wording.fields.get(field)) {
            (Some(own), Some(wording)) => (
                wording.analyzer,
                Place::Words {
                    field: *own,
                    boost: wording.boost,
                },
            ),
            _ => (self.wording.analyzer, Place::Path(path)),
        };
        if clause.prefix {
            let places = std::slice::from_ref(&place);
            let (way, frequency) = self.beginning_with(analyzer, places, &clause.text, scope)?;
            ways.extend(way);
            if counts {
                self.frequencies.push(frequency);
            }
        } else {
            let words = words(analyzer, &clause.text);
            let exact = exactly(&words);
            if exact.len() > 1 {
                self.spent.phrase()?;
            }
            if ways.is_empty() && counts {
                for word in exact {
                    let known = self.frequency(&place.term(&word.stem))?;
                    self.frequencies.push(known);
                }
            }
            let (phrase, joined) = self.together(&words, &[place], &scope, analyzer);
            ways.extend(phrase.into_iter().chain(joined));
        }
        if !ways.is_empty() {
            self.clauses.push((clause.need.into(), either(ways)));
        }
        Ok(())
    }

    /// These words, in this order, in the text or in one string of the metadata.
    fn anywhere(&mut self, text: &str, scope: &Scope) -> Box<dyn Query> {
        let (mut ways, joined) = self.ways_anywhere(text, scope);
        ways.extend(joined);
        either(ways)
    }

    fn ways_anywhere(&mut self, text: &str, scope: &Scope) -> (Ways, Ways) {
        let mut all = (Vec::new(), Vec::new());
        for analyzer in self.analyzers.clone() {
            let words = words(analyzer, text);
            let places = self.places(analyzer);
            let (phrase, joined) = self.together(&words, &places, scope, analyzer);
            all.0.extend(phrase);
            all.1.extend(joined);
        }
        all
    }

    /// These words, in this order; and all of them written as one.
    fn together(
        &mut self,
        words: &[Word],
        places: &[Place],
        scope: &Scope,
        analyzer: Analyzer,
    ) -> (Ways, Ways) {
        let exact = exactly(words);
        let (mut phrase, mut one) = (Vec::new(), Vec::new());
        if exact.is_empty() {
            return (phrase, one);
        }
        let plain = words.iter().filter(|word| word.role == Role::Plain).count();
        let joined = words.iter().find(|word| word.role == Role::Joined(plain));
        for place in places {
            phrase.push(place.weighed(sequence(&exact, place)));
            one.extend(joined.map(|word| place.weighed(term_query(place.term(&word.stem)))));
        }
        if let Some(joined) = joined {
            self.sought
                .word(scope.clone(), analyzer, joined.stem.clone());
        }
        self.sought.phrase(scope.clone(), analyzer, &exact);
        (phrase, one)
    }

    /// Where the words of this analyzer stand.
    fn places(&self, analyzer: Analyzer) -> Vec<Place> {
        let mut places = Vec::new();
        if analyzer == self.wording.analyzer {
            for field in [self.fields.text, self.fields.strings] {
                places.push(Place::Words { field, boost: 1.0 });
            }
        }
        for (path, wording) in &self.wording.fields {
            if wording.analyzer == analyzer
                && let Some(field) = self.fields.own.get(path)
            {
                places.push(Place::Words {
                    field: *field,
                    boost: wording.boost,
                });
            }
        }
        places
    }

    fn most_frequent(&self, places: &[Place], stem: &str) -> Result<u64, IndexError> {
        let mut most = 0;
        for place in places {
            most = most.max(self.frequency(&place.term(stem))?);
        }
        Ok(most)
    }

    fn frequency(&self, term: &Term) -> Result<u64, IndexError> {
        self.searcher
            .doc_freq(term)
            .map_err(IndexError::tantivy("look a word up"))
    }

    /// Whether the field is declared, or any document's metadata has a value at this path.
    fn field_exists(&self, field: &str) -> Result<bool, IndexError> {
        if self.fields.own.contains_key(field) {
            return Ok(true);
        }
        let path = Term::from_field_json_path(self.fields.metadata, field, true);
        let prefix = path.serialized_value_bytes();
        for segment in self.searcher.segment_readers() {
            let index = segment
                .inverted_index(self.fields.metadata)
                .map_err(IndexError::tantivy("open the metadata's words"))?;
            let mut terms = index
                .terms()
                .range()
                .ge(prefix)
                .into_stream()
                .map_err(|error| IndexError::tantivy("read the metadata's words")(error.into()))?;
            if terms.advance() && terms.key().starts_with(prefix) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn finish(mut self) -> Compiled {
        let asks = self
            .clauses
            .iter()
            .any(|(occur, _)| *occur != Occur::MustNot);
        if !asks {
            let all = ConstScoreQuery::new(Box::new(AllQuery), 0.0);
            self.clauses.push((Occur::Must, Box::new(all)));
        }
        let documents = self.searcher.num_docs();
        // A word that no document has weighs as an average word: it tells that no match is
        // full, but not by how much.
        let known: Vec<f32> = self
            .frequencies
            .iter()
            .filter(|frequency| **frequency > 0)
            .map(|frequency| inverse_frequency(*frequency, documents))
            .collect();
        let mean = known.iter().sum::<f32>() / known.len().max(1) as f32;
        Compiled {
            query: BooleanQuery::new(self.clauses),
            asks,
            full_score: mean * self.frequencies.len() as f32,
            sought: self.sought,
        }
    }
}

/// BM25's idf (Robertson and Zaragoza 2009); at average length and one occurrence the rest of
/// its formula is 1.
fn inverse_frequency(frequency: u64, documents: u64) -> f32 {
    let documents = documents as f32;
    let holding = (frequency as f32).min(documents);
    (1.0 + (documents - holding + 0.5) / (holding + 0.5)).ln()
}

impl From<Need> for Occur {
    fn from(need: Need) -> Self {
        match need {
            Need::May => Self::Should,
            Need::Must => Self::Must,
            Need::MustNot => Self::MustNot,
        }
    }
}

fn term_query(term: Term) -> Box<dyn Query> {
    Box::new(TermQuery::new(term, IndexRecordOption::WithFreqs))
}

fn either(mut ways: Vec<Box<dyn Query>>) -> Box<dyn Query> {
    match (ways.len(), ways.pop()) {
        (1, Some(only)) => only,
        (_, Some(last)) => {
            ways.push(last);
            Box::new(DisjunctionMaxQuery::new(ways))
        }
        (_, None) => Box::new(EmptyQuery),
    }
}

/// Each word once, with its sign where it has one: what must stand in a phrase.
fn exactly(words: &[Word]) -> Vec<&Word> {
    let mut exact: Vec<&Word> = Vec::with_capacity(words.len());
    for word in words {
        match word.role {
            Role::Plain => exact.push(word),
            Role::Signed => {
                exact.pop();
                exact.push(word);
            }
            Role::Inner | Role::Joined(_) => {}
        }
    }
    exact
}

/// One term, or several one after the other.
fn sequence(words: &[&Word], place: &Place) -> Box<dyn Query> {
    match words {
        [] => Box::new(EmptyQuery),
        [only] => term_query(place.term(&only.stem)),
        [first, ..] => Box::new(PhraseQuery::new_with_offset(
            words
                .iter()
                .map(|word| (word.position - first.position, place.term(&word.stem)))
                .collect(),
        )),
    }
}
