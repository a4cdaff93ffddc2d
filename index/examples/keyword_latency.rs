//! The latency of keyword queries over many short texts, with and without typos:
//! `cargo run --release --example keyword_latency -- NOVEL.txt [texts]`
//!
//! Each text has ten words, drawn from a novel with their natural frequencies, and one unique word.

use std::error::Error;
use std::time::{Duration, Instant};

use clipdb_index::{
    CollectionIndex, Configuration, IndexKind, KeywordQuery, OwnedRow, RowId, VectorKind,
};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::Map;

const BATCH: usize = 512;
const QUERIES: usize = 500;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let novel = std::fs::read_to_string(arguments.next().ok_or("name the novel's file")?)?;
    let texts: usize = arguments
        .next()
        .map_or(Ok(100_000), |texts| texts.parse())?;
    let words: Vec<&str> = novel.split_whitespace().collect();
    let mut random = StdRng::seed_from_u64(9);
    let folder = tempfile::tempdir()?;
    let mut configuration = Configuration::new(4);
    // No graph is built during the searches.
    configuration.vectors.kind = IndexKind::Flat;
    let (index, _) = CollectionIndex::open(folder.path(), &configuration)?;

    let begun = Instant::now();
    for first in (0..texts).step_by(BATCH) {
        let rows: Vec<OwnedRow> = (first..texts.min(first + BATCH))
            .map(|number| row(number, &words, &mut random))
            .collect();
        let borrowed: Vec<_> = rows.iter().map(OwnedRow::as_row).collect();
        index.apply(&[], &borrowed, first as u64 + 1)?;
    }
    let spent = begun.elapsed();
    index.wait_for_builds();
    let statistics = index.statistics()?;
    println!(
        "{texts} texts in {:.1} s, {:.0} a second; {:.1} MB of words in {} segments",
        spent.as_secs_f64(),
        texts as f64 / spent.as_secs_f64(),
        statistics.keyword_disk_bytes as f64 / 1e6,
        statistics.keyword_segments
    );

    println!("\n| query | found by | p50 ms | p99 ms |\n| --- | --- | --- | --- |");
    let long: Vec<&str> = words
        .iter()
        .copied()
        .filter(|word| word.len() > 7 && word.bytes().all(|b| b.is_ascii_lowercase()))
        .collect();
    let two = |random: &mut StdRng| format!("{} {}", pick(&words, random), pick(&long, random));
    measure(&index, "two words", &mut random, two)?;
    measure(&index, "two words, typos off", &mut random, |random| {
        format!("\u{1}{} {}", pick(&words, random), pick(&long, random))
    })?;
    measure(&index, "one misspelt word", &mut random, |random| {
        misspelt(pick(&long, random), random)
    })?;
    measure(&index, "the same, typos off", &mut random, |random| {
        format!("\u{1}{}", misspelt(pick(&long, random), random))
    })?;
    measure(&index, "five misspelt words", &mut random, |random| {
        let words = (0..5).map(|_| misspelt(pick(&long, random), random));
        words.collect::<Vec<_>>().join(" ")
    })?;
    measure(&index, "a prefix of three letters", &mut random, |random| {
        format!("{}*", &pick(&long, random)[..3])
    })?;
    measure(&index, "a prefix of one letter", &mut random, |random| {
        format!("{}*", &pick(&long, random)[..1])
    })?;
    Ok(())
}

fn row(number: usize, words: &[&str], random: &mut StdRng) -> OwnedRow {
    let mut text: Vec<&str> = (0..10).map(|_| pick(words, random)).collect();
    let own = format!("item{number}x");
    text.push(&own);
    OwnedRow {
        id: RowId(number as u64),
        document: number.to_string(),
        text: Some(text.join(" ")),
        metadata: Map::new(),
        vectors: vec![(VectorKind::Text, vec![1.0, 0.0, 0.0, 0.0])],
    }
}

fn pick<'a>(words: &[&'a str], random: &mut StdRng) -> &'a str {
    words.choose(random).copied().unwrap_or("word")
}

/// The word with two adjacent letters swapped, except the first letter.
fn misspelt(word: &str, random: &mut StdRng) -> String {
    let mut letters: Vec<char> = word.chars().collect();
    let at = random.random_range(1..letters.len() - 1);
    letters.swap(at, at + 1);
    letters.into_iter().collect()
}

/// Queries that begin with a control character are searched without correcting typos.
fn measure(
    index: &CollectionIndex,
    name: &str,
    random: &mut StdRng,
    mut ask: impl FnMut(&mut StdRng) -> String,
) -> Result<(), Box<dyn Error>> {
    let mut took: Vec<Duration> = Vec::with_capacity(QUERIES);
    let mut found = 0;
    for _ in 0..QUERIES {
        let words = ask(random);
        let query = KeywordQuery::parse(&words).with_typos(!words.starts_with('\u{1}'));
        let begun = Instant::now();
        let hits = index.keyword(&query, 100, None)?;
        took.push(begun.elapsed());
        found += usize::from(hits.total > 0);
    }
    took.sort_unstable();
    let at = |share: usize| took[(took.len() - 1) * share / 100].as_secs_f64() * 1e3;
    println!(
        "| {name} | {:.2} | {:.2} | {:.2} |",
        found as f64 / QUERIES as f64,
        at(50),
        at(99)
    );
    Ok(())
}
