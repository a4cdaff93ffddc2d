//! Prefixes: words of which only the beginning is given.

use tantivy::query::{BooleanQuery, ConstScoreQuery, Occur, Query, TermSetQuery};

use super::compiler::{Alternatives, Compiler, inverse_frequency, scope_of};
use super::target::{Target, any_of};
use crate::error::IndexError;
use crate::fulltext::analysis::{Analyzer, Role, words};
use crate::fulltext::highlight::Scope;
use crate::fulltext::vocabulary;

impl Compiler<'_> {
    /// Adds a prefix. If it has several parts, only the last one is a prefix.
    pub(super) fn add_prefix(&mut self, occur: Occur, text: &str) -> Result<(), IndexError> {
        let first = self.frequencies.len();
        let mut alternatives = Vec::new();
        for analyzer in self.analyzers.clone() {
            let targets = self.targets(analyzer);
            let (query, frequency) =
                self.words_with_prefix(analyzer, &targets, text, scope_of(occur))?;
            alternatives.extend(query);
            if analyzer == self.text_config.analyzer && occur != Occur::MustNot {
                self.frequencies.push(frequency);
            }
        }
        if !alternatives.is_empty() {
            self.add_clause(occur, any_of(alternatives), first);
        }
        Ok(())
    }

    /// A query for all words except the last one and for any word that begins with the last one,
    /// and the approximate number of documents with such a word.
    pub(super) fn words_with_prefix(
        &mut self,
        analyzer: Analyzer,
        targets: &[Target],
        text: &str,
        scope: Scope,
    ) -> Result<(Option<Box<dyn Query>>, u64), IndexError> {
        let mut words = words(analyzer, text);
        words.retain(|word| word.role == Role::Plain);
        let (Some(last), Some(vocabulary)) = (words.pop(), self.fields.vocabulary(analyzer)) else {
            return Ok((None, 0));
        };
        let completions =
            vocabulary::completions(self.searcher, vocabulary, &last.surface, &mut self.usage)?;
        let documents = self.searcher.num_docs();
        let frequency = completions
            .iter()
            .map(|expansion| expansion.documents)
            .sum::<u64>()
            .min(documents);
        let mut endings: Alternatives = Vec::new();
        for target in targets {
            let terms = completions
                .iter()
                .map(|expansion| target.term(&expansion.stem));
            let any = Box::new(TermSetQuery::new(terms));
            // All completions together weigh as one word that occurs wherever one of them does:
            // the rarest completion is not the likeliest. The prefix itself counts as a word.
            let rarity = inverse_frequency(frequency, documents);
            endings.push(target.boosted(Box::new(ConstScoreQuery::new(any, rarity))));
            endings.push(target.query(&last.stem));
        }
        self.highlight_terms
            .prefix(scope.clone(), analyzer, last.surface, last.stem);
        let mut all = vec![(Occur::Must, any_of(endings))];
        for word in words {
            let alternatives = targets.iter().map(|target| target.query(&word.stem));
            all.push((Occur::Must, any_of(alternatives.collect())));
            self.highlight_terms
                .word(scope.clone(), analyzer, word.stem);
        }
        Ok((Some(Box::new(BooleanQuery::new(all))), frequency))
    }
}
