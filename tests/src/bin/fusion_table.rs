//! Measures whether fusion ranks both images and texts in a mixed collection of the real server:
//! OpenMoji's images without any text, a text about each of the same subjects, and sentences of a
//! novel.
//!
//! Each query has a correct image and a correct text. Of the queries where each is in the first ten
//! of its own kind, the table shows the proportion where both are in the first ten of the fused list:
//! for clipdb, for plain reciprocal rank fusion of the same three lists (k = 60, absent = 0), and for
//! one list by raw cosine. The latter two are computed here.
//!
//! It also measures confidence: how many hits of each confidence are correct, how many correct hits
//! `"cutoff": "auto"` leaves out, and how many queries of random letters it answers with nothing.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;

use clap::Parser;
use clipdb_tests::baseline::{Ranking, plain_rrf, ranking};
use clipdb_tests::corpus::{self, Drawing};
use clipdb_tests::{Client, Collection, Server, machine, table};
use serde_json::{Value, json};

const SET: &str = "openmoji";
const PAGE: usize = 10;
const DEPTH: usize = 200;

#[derive(Parser)]
#[command(about = "Measure whether fusion ranks both images and texts")]
struct Arguments {
    /// Sentences of the novel in the collection
    #[arg(long, default_value_t = 3_000)]
    sentences: usize,
    /// Run only every n-th query
    #[arg(long, default_value_t = 1)]
    step: usize,
    /// Write the fetched lists as NDJSON, one line per query
    #[arg(long)]
    save: Option<std::path::PathBuf>,
}

/// A query and its correct documents.
struct Case {
    group: &'static str,
    query: String,
    pictures: HashSet<String>,
    texts: HashSet<String>,
}

/// The server's lists for one query.
#[derive(serde::Serialize)]
struct Lists {
    keyword: Ranking,
    image: Ranking,
    text: Ranking,
    texts_fused: Vec<String>,
    hybrid: Vec<String>,
    /// The confidences of the hybrid hits.
    sure: Vec<f64>,
    /// The hybrid hits with `"cutoff": "auto"`.
    cut: Vec<String>,
}

fn main() {
    let arguments = Arguments::parse();
    let subjects: Vec<Drawing> = corpus::drawings()
        .into_iter()
        .filter(|drawing| drawing.set == SET)
        .collect();
    let described: Vec<&Drawing> = subjects
        .iter()
        .filter(|subject| subject.tags.len() >= 2)
        .collect();
    let sentences = corpus::sentences(&corpus::novel());
    let sentences = &sentences[..arguments.sentences.min(sentences.len())];

    let server = Server::start();
    let collection = server.client().collection("mixed");
    fill(&collection, &subjects, &described, sentences);
    println!("{}", machine::describe());
    println!(
        "{} images without text, {} texts about the same subjects, {} sentences of a novel",
        subjects.len(),
        described.len(),
        sentences.len()
    );
    let cases = name_cases(&described)
        .into_iter()
        .chain(unnamed_cases(&described))
        .step_by(arguments.step);
    let judged: Vec<(Case, Lists)> = cases
        .map(|case| {
            let lists = ask(&collection, &case.query);
            (case, lists)
        })
        .collect();
    if let Some(path) = &arguments.save {
        save(path, &judged);
    }
    print_both(&judged);
    print_first(&judged);
    print_codes(&collection, &described, arguments.step);
    print_confidence(&judged);
    print_no_match(&collection);
}

fn fill(
    collection: &Collection<'_>,
    subjects: &[Drawing],
    described: &[&Drawing],
    sentences: &[String],
) {
    let pictures = subjects.iter().map(
        |subject| json!({ "id": picture_id(subject), "image": Client::image(&subject.bytes()) }),
    );
    let texts = described.iter().enumerate().map(|(number, subject)| {
        json!({ "id": text_id(subject), "text": description(number, subject), "metadata": { "code": format!("u{}", subject.code) } })
    });
    let novel = sentences
        .iter()
        .enumerate()
        .map(|(number, text)| json!({ "id": format!("novel/{number}"), "text": text }));
    let all: Vec<Value> = pictures.chain(texts).chain(novel).collect();
    for batch in all.chunks(64) {
        collection.add(&json!(batch));
    }
}

fn picture_id(subject: &Drawing) -> String {
    format!("picture/{}", subject.concept)
}

fn text_id(subject: &Drawing) -> String {
    format!("text/{}", subject.concept)
}

/// Whether the text names its subject: every other one does, the others describe it.
fn names_it(number: usize) -> bool {
    number % 2 == 1
}

fn description(number: usize, subject: &Drawing) -> String {
    let tags = subject.tags.join(", ");
    if names_it(number) {
        format!("The sign called {} is about {tags}.", subject.words())
    } else {
        format!("A sign about {tags}.")
    }
}

fn name_cases(described: &[&Drawing]) -> Vec<Case> {
    let cases = described.iter().enumerate().map(|(number, subject)| Case {
        group: if names_it(number) {
            "names; the text contains the name"
        } else {
            "names; the text is in other words"
        },
        query: subject.words(),
        pictures: HashSet::from([picture_id(subject)]),
        texts: HashSet::from([text_id(subject)]),
    });
    cases.collect()
}

/// The model's own evaluation queries: words that are in no name.
fn unnamed_cases(described: &[&Drawing]) -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/queries_unnamed.tsv");
    let text =
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let known: HashSet<&str> = described
        .iter()
        .map(|subject| subject.concept.as_str())
        .collect();
    let cases = text.lines().filter_map(|line| {
        let (query, concepts) = line.split_once('\t')?;
        let concepts: Vec<&str> = concepts
            .split(' ')
            .filter(|concept| known.contains(concept))
            .collect();
        (!concepts.is_empty()).then(|| Case {
            group: "words that are in no name",
            query: query.to_owned(),
            pictures: concepts
                .iter()
                .map(|concept| format!("picture/{concept}"))
                .collect(),
            texts: concepts
                .iter()
                .map(|concept| format!("text/{concept}"))
                .collect(),
        })
    });
    cases.collect()
}

fn ask(collection: &Collection<'_>, words: &str) -> Lists {
    let scored = |query: &Value| -> Ranking {
        let hits = collection.hits(query);
        hits.iter()
            .map(|hit| (id(hit), hit["score"].as_f64().unwrap_or(f64::NAN)))
            .collect()
    };
    let hybrid = collection.hits(&json!({ "text": words, "limit": PAGE }));
    Lists {
        keyword: scored(&json!({ "text": words, "mode": "keyword", "limit": DEPTH })),
        image: scored(
            &json!({ "text": words, "mode": "vector", "targets": ["image"], "limit": DEPTH }),
        ),
        text: scored(
            &json!({ "text": words, "mode": "vector", "targets": ["text"], "limit": DEPTH }),
        ),
        texts_fused: collection.ids(&json!({ "text": words, "targets": ["text"], "limit": PAGE })),
        sure: hybrid
            .iter()
            .map(|hit| hit["confidence"].as_f64().unwrap_or(f64::NAN))
            .collect(),
        hybrid: hybrid.iter().map(id).collect(),
        cut: collection.ids(&json!({ "text": words, "limit": PAGE, "cutoff": "auto" })),
    }
}

fn id(hit: &Value) -> String {
    hit["id"].as_str().unwrap_or_default().to_owned()
}

fn ids(list: &[(String, f64)]) -> Vec<String> {
    list.iter().map(|(id, _)| id.clone()).collect()
}

impl Lists {
    /// The compared rankings.
    fn pages(&self) -> [Vec<String>; 3] {
        let sums = plain_rrf(&[&self.keyword, &self.image, &self.text]);
        let mut cosines: HashMap<&str, f64> = HashMap::new();
        for (id, cosine) in self.image.iter().chain(&self.text) {
            let best = cosines.entry(id).or_insert(*cosine);
            *best = best.max(*cosine);
        }
        [self.hybrid.clone(), page(&sums), page(&ranking(cosines))]
    }
}

fn page(list: &Ranking) -> Vec<String> {
    ids(&list[..list.len().min(PAGE)])
}

const WAYS: [&str; 3] = ["clipdb", "plain RRF", "raw cosine"];

fn any(page: &[String], right: &HashSet<String>) -> bool {
    page.iter().take(PAGE).any(|id| right.contains(id))
}

fn groups(judged: &[(Case, Lists)]) -> Vec<(&'static str, Vec<&(Case, Lists)>)> {
    let mut groups: Vec<(&'static str, Vec<_>)> = Vec::new();
    for entry in judged {
        match groups.iter_mut().find(|(group, _)| *group == entry.0.group) {
            Some((_, members)) => members.push(entry),
            None => groups.push((entry.0.group, vec![entry])),
        }
    }
    groups.push(("all of them", judged.iter().collect()));
    groups
}

/// The proportion with both in the first ten, of the cases where each is in its own kind's first ten.
fn print_both(judged: &[(Case, Lists)]) {
    println!(
        "\nA correct image and a correct text both in the first ten, of the cases where each is in the first ten of its own kind:"
    );
    table::head(&[
        "queries",
        "number",
        "each in the first ten of its own kind",
        "clipdb",
        "plain RRF",
        "raw cosine",
        "clipdb: the image",
        "clipdb: the text",
    ]);
    for (group, members) in groups(judged) {
        let possible: Vec<_> = members
            .iter()
            .filter(|(case, lists)| {
                any(&ids(&lists.image), &case.pictures) && any(&lists.texts_fused, &case.texts)
            })
            .collect();
        let share = |holds: &dyn Fn(&Case, &[Vec<String>; 3]) -> bool| {
            let count = possible
                .iter()
                .filter(|(case, lists)| holds(case, &lists.pages()))
                .count();
            format!("{:.3}", count as f64 / possible.len() as f64)
        };
        let mut cells = vec![
            group.to_owned(),
            members.len().to_string(),
            possible.len().to_string(),
        ];
        for way in 0..WAYS.len() {
            cells.push(share(&|case, pages| {
                any(&pages[way], &case.pictures) && any(&pages[way], &case.texts)
            }));
        }
        cells.push(share(&|case, pages| any(&pages[0], &case.pictures)));
        cells.push(share(&|case, pages| any(&pages[0], &case.texts)));
        table::row(&cells);
    }
}

/// The cost of fairness: whether the first hit is still correct.
fn print_first(judged: &[(Case, Lists)]) {
    println!("\nThe first hit is a correct image or a correct text:");
    table::head(&["queries", "clipdb", "plain RRF", "raw cosine"]);
    for (group, members) in groups(judged) {
        let mut cells = vec![group.to_owned()];
        for way in 0..WAYS.len() {
            let right = members.iter().filter(|(case, lists)| {
                let page = &lists.pages()[way];
                page.first()
                    .is_some_and(|id| case.pictures.contains(id) || case.texts.contains(id))
            });
            cells.push(format!(
                "{:.3}",
                right.count() as f64 / members.len() as f64
            ));
        }
        table::row(&cells);
    }
}

/// Searches for an exact code in a text's metadata, which no vector represents.
fn print_codes(collection: &Collection<'_>, described: &[&Drawing], step: usize) {
    let mut ranks = Vec::new();
    for subject in described
        .iter()
        .filter(|subject| !subject.code.is_empty())
        .step_by(step * 5)
    {
        let found = collection.ids(&json!({ "text": format!("u{}", subject.code), "limit": PAGE }));
        ranks.push(found.iter().position(|id| *id == text_id(subject)));
    }
    let share = |within: usize| {
        ranks
            .iter()
            .flatten()
            .filter(|rank| **rank < within)
            .count() as f64
            / ranks.len() as f64
    };
    println!(
        "\nAn exact code in a text's metadata as the query ({} queries), hybrid:",
        ranks.len()
    );
    table::head(&["its text is first", "in the first two", "in the first ten"]);
    table::row(&[1, 2, PAGE].map(|within| format!("{:.3}", share(within))));
}

/// Whether confidences are the proportions of correct hits, and what the cutoff costs.
fn print_confidence(judged: &[(Case, Lists)]) {
    const BOUNDS: [f64; 9] = [0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0];
    let is_correct =
        |case: &Case, id: &String| case.pictures.contains(id) || case.texts.contains(id);
    let mut hits = Vec::new();
    let (mut correct, mut left_out) = (0, 0);
    for (case, lists) in judged {
        for (id, sure) in lists.hybrid.iter().zip(&lists.sure) {
            hits.push((*sure, is_correct(case, id)));
            if is_correct(case, id) {
                correct += 1;
                left_out += usize::from(!lists.cut.contains(id));
            }
        }
    }
    println!("\nThe first ten hits by their confidence:");
    table::head(&[
        "confidence",
        "hits",
        "mean confidence",
        "proportion correct",
    ]);
    let mut error = 0.0;
    for bound in BOUNDS.windows(2) {
        let within: Vec<_> = hits
            .iter()
            .filter(|(sure, _)| (bound[0]..bound[1]).contains(sure))
            .collect();
        let count = within.len().max(1) as f64;
        let mean = within.iter().map(|(sure, _)| sure).sum::<f64>() / count;
        let right = within.iter().filter(|(_, right)| *right).count() as f64 / count;
        error += (mean - right).abs() * within.len() as f64 / hits.len() as f64;
        table::row(&[
            format!("{} to {}", bound[0], bound[1]),
            within.len().to_string(),
            format!("{mean:.3}"),
            format!("{right:.3}"),
        ]);
    }
    println!("Expected calibration error: {error:.3}");
    println!("Correct hits among the first ten: {correct}; left out by the cutoff: {left_out}");
}

/// Words of random letters, from a fixed generator.
fn print_no_match(collection: &Collection<'_>) {
    const QUERIES: usize = 200;
    let mut state: u64 = 17;
    let mut next = |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut nothing = 0;
    for _ in 0..QUERIES {
        let words: Vec<String> = (0..=next(3))
            .map(|_| {
                (0..4 + next(6))
                    .map(|_| char::from(b'a' + next(26) as u8))
                    .collect()
            })
            .collect();
        let query = json!({ "text": words.join(" "), "cutoff": "auto" });
        nothing += usize::from(collection.search(&query).expect(200).json()["no_match"] == true);
    }
    println!("Queries of random letters that nothing matches: {nothing} of {QUERIES}");
}

fn save(path: &Path, judged: &[(Case, Lists)]) {
    let lines: String = judged
        .iter()
        .map(|(case, lists)| {
            let line = json!({ "group": case.group, "query": case.query, "pictures": case.pictures, "texts": case.texts, "lists": lists });
            format!("{line}\n")
        })
        .collect();
    fs::write(path, lines).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
