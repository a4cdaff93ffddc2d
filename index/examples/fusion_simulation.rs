//! Fusion on a synthetic mixed collection: how often a relevant image and a relevant text are both in
//! the first ten, given that each is in the first ten of its own kind.
//!
//! `cargo run --release -p clipdb-index --example fusion_simulation`
//!
//! Concepts are directions in clusters, so each has similar ones. A concept's image and text are its
//! direction with noise, so recall is close to that of the bundled model. Texts have all, some or none
//! of the query's words, and unrelated sentences have them by chance. The constants of `fusion::place`
//! were chosen on real embeddings of drawings, their descriptions and sentences of a novel; this
//! simulation shows that they also work on data to which nothing was fitted.

use std::collections::{HashMap, HashSet};

use clipdb_index::fusion::{DEPTH, Fusion, RankedList};
use clipdb_index::{ListKind, RowId, Scored};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const DIM: usize = 48;
const CLUSTERS: usize = 120;
const CONCEPTS: usize = 1_200;
const SENTENCES: usize = 2_500;
const TEXTS_FROM: u64 = 1_000_000;
const PAGE: usize = 10;

fn main() {
    println!(
        "image noise | image R@1 R@10 | text R@1 R@10 | ours | plain RRF | raw cosine | cases"
    );
    for noise in [1.6, 2.4, 3.2] {
        report(noise);
    }
}

fn report(image_noise: f32) {
    let world = World::new(&mut StdRng::seed_from_u64(7), image_noise);
    let mut recall = [0usize; 4];
    let mut both = [0usize; 3];
    let mut cases = 0;
    for concept in 0..CONCEPTS {
        let lists = world.search(concept);
        let image = RowId(concept as u64);
        let text = RowId(TEXTS_FROM + concept as u64);
        let ranks = [rank(&lists.image, image), rank(&lists.text, text)];
        for (position, (rank, within)) in
            [(ranks[0], 1), (ranks[0], 10), (ranks[1], 1), (ranks[1], 10)]
                .into_iter()
                .enumerate()
        {
            recall[position] += usize::from(rank <= within);
        }
        if ranks.iter().any(|rank| *rank > PAGE) {
            continue;
        }
        cases += 1;
        for (method, page) in [ours(&lists), plain_rrf(&lists), raw_cosine(&lists)]
            .iter()
            .enumerate()
        {
            let page: HashSet<RowId> = page.iter().take(PAGE).copied().collect();
            both[method] += usize::from(page.contains(&image) && page.contains(&text));
        }
    }
    let of_all = |count: usize| count as f64 / CONCEPTS as f64;
    let of_cases = |count: usize| count as f64 / f64::from(cases.max(1));
    println!(
        "{image_noise:13.2} | {:11.2} {:4.2} | {:8.2} {:4.2} | {:4.2} | {:9.2} | {:10.2} | {cases}",
        of_all(recall[0]),
        of_all(recall[1]),
        of_all(recall[2]),
        of_all(recall[3]),
        of_cases(both[0]),
        of_cases(both[1]),
        of_cases(both[2]),
    );
}

struct Lists {
    keyword: Vec<Scored>,
    full_score: f32,
    image: Vec<Scored>,
    text: Vec<Scored>,
}

fn ours(lists: &Lists) -> Vec<RowId> {
    let list = |kind, hits| RankedList {
        kind,
        hits,
        full_score: lists.full_score,
    };
    Fusion::default()
        .fuse(&[
            list(ListKind::Keyword, &lists.keyword),
            list(ListKind::Image, &lists.image),
            list(ListKind::Text, &lists.text),
        ])
        .into_iter()
        .map(|hit| hit.row)
        .collect()
}

fn plain_rrf(lists: &Lists) -> Vec<RowId> {
    let mut scores: HashMap<RowId, f64> = HashMap::new();
    for list in [&lists.keyword, &lists.image, &lists.text] {
        for (rank, hit) in (1..).zip(list) {
            *scores.entry(hit.row).or_default() += 1.0 / (60.0 + f64::from(rank));
        }
    }
    let mut rows: Vec<(RowId, f64)> = scores.into_iter().collect();
    rows.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    rows.into_iter().map(|(row, _)| row).collect()
}

fn raw_cosine(lists: &Lists) -> Vec<RowId> {
    // A dual encoder's scales: high for two texts, low for a text and an image.
    let mut hits: Vec<Scored> = lists.text.clone();
    hits.extend(lists.image.iter().map(|hit| Scored {
        score: 0.5 * hit.score,
        ..*hit
    }));
    best(hits, usize::MAX).iter().map(|hit| hit.row).collect()
}

struct World {
    queries: Vec<Vec<f32>>,
    images: Vec<(RowId, Vec<f32>)>,
    texts: Vec<(RowId, Vec<f32>)>,
    /// The words of each text.
    words: HashMap<RowId, HashSet<u32>>,
    names: Vec<[u32; 2]>,
}

impl World {
    fn new(rng: &mut StdRng, image_noise: f32) -> Self {
        let clusters: Vec<Vec<f32>> = (0..CLUSTERS).map(|_| direction(rng)).collect();
        let mut world = Self {
            queries: Vec::new(),
            images: Vec::new(),
            texts: Vec::new(),
            words: HashMap::new(),
            names: Vec::new(),
        };
        for concept in 0..CONCEPTS {
            let cluster = rng.random_range(0..CLUSTERS);
            let meaning = near(rng, &clusters[cluster], 0.7);
            world.queries.push(near(rng, &meaning, 0.35));
            world
                .images
                .push((RowId(concept as u64), uneven(rng, &meaning, image_noise)));
            let row = RowId(TEXTS_FROM + concept as u64);
            world.texts.push((row, uneven(rng, &meaning, 1.0)));
            // A name has a word that similar concepts share and one that is mostly unique.
            let name = [
                cluster as u32,
                (CLUSTERS + rng.random_range(0..CONCEPTS)) as u32,
            ];
            world.names.push(name);
            let held = match rng.random_range(0..20) {
                0..9 => vec![name[0], name[1]],
                9..12 => vec![name[rng.random_range(0..2)]],
                _ => Vec::new(),
            };
            world.words.insert(row, held.into_iter().collect());
        }
        for sentence in 0..SENTENCES {
            let row = RowId(TEXTS_FROM + (CONCEPTS + sentence) as u64);
            world.texts.push((row, direction(rng)));
            let held = (0..6).map(|_| rng.random_range(0..(CLUSTERS + CONCEPTS) as u32));
            world.words.insert(row, held.collect());
        }
        world
    }

    fn search(&self, concept: usize) -> Lists {
        let wanted = PAGE.max(DEPTH);
        let nearest = |vectors: &[(RowId, Vec<f32>)]| {
            let query = &self.queries[concept];
            let hits = vectors.iter().map(|(row, vector)| Scored {
                row: *row,
                score: vector.iter().zip(query).map(|(a, b)| a * b).sum(),
                passage: 0,
            });
            best(hits.collect(), wanted)
        };
        let (keyword, full_score) = self.keyword(&self.names[concept], wanted);
        Lists {
            keyword,
            full_score,
            image: nearest(&self.images),
            text: nearest(&self.texts),
        }
    }

    /// BM25 without lengths: the sum of the idf of the words in a text.
    fn keyword(&self, query: &[u32], wanted: usize) -> (Vec<Scored>, f32) {
        let mut scores: HashMap<RowId, f32> = HashMap::new();
        let mut full = 0.0;
        for word in query {
            let holding: Vec<RowId> = self
                .words
                .iter()
                .filter(|(_, held)| held.contains(word))
                .map(|(row, _)| *row)
                .collect();
            let rarity =
                (1.0 + (self.words.len() as f32 + 0.5) / (holding.len() as f32 + 0.5)).ln();
            full += rarity;
            for row in holding {
                *scores.entry(row).or_default() += rarity;
            }
        }
        let hits = scores.into_iter().map(|(row, score)| Scored {
            row,
            score,
            passage: 0,
        });
        (best(hits.collect(), wanted), full)
    }
}

fn best(mut hits: Vec<Scored>, wanted: usize) -> Vec<Scored> {
    hits.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.row.cmp(&b.row)));
    hits.truncate(wanted);
    hits
}

fn rank(hits: &[Scored], row: RowId) -> usize {
    hits.iter()
        .position(|hit| hit.row == row)
        .map_or(usize::MAX, |at| at + 1)
}

/// Like [`near`], with noise that is small for some and large for others: some things are depicted or
/// described plainly, some are not.
fn uneven(rng: &mut StdRng, centre: &[f32], noise: f32) -> Vec<f32> {
    let luck = rng.random::<f32>();
    near(rng, centre, noise * (0.2 + 1.6 * luck * luck))
}

/// A random unit vector.
fn direction(rng: &mut StdRng) -> Vec<f32> {
    let origin = vec![0.0; DIM];
    near(rng, &origin, 1.0)
}

/// `centre` plus noise of this length, on the unit sphere.
fn near(rng: &mut StdRng, centre: &[f32], noise: f32) -> Vec<f32> {
    let scale = noise * (12.0 / DIM as f32).sqrt();
    let moved: Vec<f32> = centre
        .iter()
        .map(|number| number + scale * (rng.random::<f32>() - 0.5))
        .collect();
    let length = moved
        .iter()
        .map(|number| number * number)
        .sum::<f32>()
        .sqrt();
    moved.iter().map(|number| number / length).collect()
}
