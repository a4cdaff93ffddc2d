//! Stop words.

use std::collections::HashSet;

use tantivy::tokenizer::{StopWordFilter, TextAnalyzer};

use super::analyzer::Analyzer;
use super::tokens::WordTokenizer;

/// The first bytes of stop words in `text`. Empty for English, whose words are tested one by one.
pub(super) fn starts(language: Analyzer, text: &str) -> HashSet<usize> {
    let Some(filter) = language.stemming().and_then(StopWordFilter::new) else {
        return HashSet::new();
    };
    let begin = |mut analyzer: TextAnalyzer| {
        let mut starts = HashSet::new();
        analyzer.token_stream(text).process(&mut |token| {
            starts.insert(token.offset_from);
        });
        starts
    };
    let words = || TextAnalyzer::builder(WordTokenizer::new(language));
    let mut stop = begin(words().build());
    for kept in begin(words().filter(filter).build()) {
        stop.remove(&kept);
    }
    stop
}

/// Whether a word is an English stop word. It must be in lower case and without apostrophe.
pub(super) fn is_english(word: &str) -> bool {
    ENGLISH.binary_search(&word).is_ok()
}

/// English stop words, sorted: articles, pronouns, prepositions,
/// auxiliaries and their contractions without the apostrophe.
#[rustfmt::skip]
const ENGLISH: [&str; 160] = [
    "a", "about", "above", "after", "again", "against", "all", "am", "an", "and", "any", "are",
    "arent", "as", "at", "be", "because", "been", "before", "being", "below", "between", "both",
    "but", "by", "can", "cant", "could", "couldnt", "did", "didnt", "do", "does", "doesnt",
    "doing", "dont", "down", "during", "each", "few", "for", "from", "further", "had", "hadnt",
    "has", "hasnt", "have", "havent", "having", "he", "her", "here", "hers", "herself", "hes",
    "him", "himself", "his", "how", "i", "if", "im", "in", "into", "is", "isnt", "it", "its",
    "itself", "ive", "just", "me", "more", "most", "must", "mustnt", "my", "myself", "no", "nor",
    "not", "now", "of", "off", "on", "once", "only", "or", "other", "ought", "our", "ours",
    "ourselves", "out", "over", "own", "same", "shall", "she", "shes", "should", "shouldnt", "so",
    "some", "such", "than", "that", "thats", "the", "their", "theirs", "them", "themselves",
    "then", "there", "theres", "these", "they", "theyre", "this", "those", "through", "to", "too",
    "under", "until", "up", "upon", "us", "very", "was", "wasnt", "we", "were", "werent", "what",
    "when", "where", "which", "while", "who", "whom", "whose", "why", "will", "with", "wont",
    "would", "wouldnt", "yet", "you", "youd", "youll", "your", "youre", "yours", "yourself",
    "yourselves", "youve",
];
