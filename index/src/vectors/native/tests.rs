use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;

const DIM: usize = 32;

/// Clustered unit vectors.
fn clustered(count: usize, seed: u64) -> Vec<f32> {
    let mut of_centres = StdRng::seed_from_u64(1);
    let centres: Vec<Vec<f32>> = (0..20)
        .map(|_| near(&mut of_centres, &[0.0; DIM], 1.0))
        .collect();
    let mut random = StdRng::seed_from_u64(seed);
    (0..count)
        .flat_map(|at| near(&mut random, &centres[at % centres.len()], 0.35))
        .collect()
}

fn near(random: &mut StdRng, centre: &[f32], spread: f32) -> Vec<f32> {
    let moved: Vec<f32> = centre
        .iter()
        .map(|x| x + spread * random.random_range(-1.0..1.0f32))
        .collect();
    let norm = moved.iter().map(|x| x * x).sum::<f32>().sqrt();
    moved.into_iter().map(|x| x / norm).collect()
}

/// The best accepted positions by a plain loop: higher scores first, ties by row.
fn exact(
    vectors: &[f32],
    query: &[f32],
    wanted: usize,
    rows: &[u64],
    accepts: impl Fn(usize) -> bool,
) -> Vec<Hit> {
    let mut hits: Vec<Hit> = (0u32..)
        .zip(vectors.chunks(query.len()))
        .filter(|(position, _)| accepts(*position as usize))
        .map(|(position, vector)| Hit {
            score: vector.iter().zip(query).map(|(a, b)| a * b).sum(),
            position,
        })
        .collect();
    hits.sort_by(|a, b| {
        let by_score = b.score.total_cmp(&a.score);
        by_score.then(rows[a.position as usize].cmp(&rows[b.position as usize]))
    });
    hits.truncate(wanted);
    hits
}

/// Equal scores, up to the order in which products are summed up.
fn assert_same(found: &[Hit], expected: &[Hit]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            (found.score - expected.score).abs() < 1e-5,
            "{found:?} {expected:?}"
        );
    }
}

fn share_of(found: &[Hit], expected: &[Hit]) -> f64 {
    let right = found
        .iter()
        .filter(|hit| expected.iter().any(|other| other.position == hit.position));
    right.count() as f64 / expected.len() as f64
}

/// The rows of a segment: ascending, with gaps.
fn rows(count: usize) -> Vec<u64> {
    (0..count as u64).map(|at| (1 << 40) + 3 * at).collect()
}

fn live_without(count: usize, removed: impl Fn(usize) -> bool) -> Vec<AtomicU64> {
    let words = (0..count.div_ceil(64)).map(|word| {
        let bits = (0..64).filter(|bit| !removed(64 * word + bit));
        AtomicU64::new(bits.map(|bit| 1u64 << bit).sum())
    });
    words.collect()
}

fn encoded(vectors: &[f32]) -> F32Buffer {
    let (codes, scales) = codes::encode(vectors, DIM);
    let codes = codes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes));
    F32Buffer::Owned(codes.chain(scales).collect())
}

fn graph(vectors: &[f32]) -> NativeIndex {
    let shape = GraphShape {
        links: 16,
        ef_construction: 100,
    };
    NativeIndex::build_graph(
        Arc::new(F32Buffer::Owned(vectors.to_vec())),
        Arc::new(encoded(vectors)),
        DIM,
        shape,
        None,
        &mut |_| true,
    )
    .unwrap()
}

const STAGES: [Stage; 2] = [
    Stage {
        ef: 96,
        ranked: 48,
        depth: 32,
    },
    Stage {
        ef: 256,
        ranked: 256,
        depth: 128,
    },
];

#[test]
fn a_scan_returns_the_exact_best() {
    let vectors = clustered(1003, 2);
    let rows = rows(1003);
    let live = live_without(1003, |position| position % 5 == 0);
    let within: RowSet = rows.iter().step_by(2).map(|row| RowId(*row)).collect();
    let buffer = F32Buffer::Owned(vectors.clone());
    for query in clustered(10, 3).chunks(DIM) {
        for (live, within) in [
            (None, None),
            (Some(&live[..]), None),
            (None, Some(&within)),
            (Some(&live[..]), Some(&within)),
        ] {
            let filter = Filter {
                live,
                rows: &rows,
                within,
            };
            let accepts = |position: usize| {
                (live.is_none() || !position.is_multiple_of(5))
                    && (within.is_none() || position.is_multiple_of(2))
            };
            for wanted in [1, 7, 100, 2000] {
                let found = scan(&buffer, DIM, query, wanted, filter).unwrap();
                assert_same(&found, &exact(&vectors, query, wanted, &rows, accepts));
            }
        }
        let positions: Vec<u32> = (0..1003).rev().step_by(3).collect();
        let found = scan_positions(&buffer, DIM, query, &positions, 50, &rows).unwrap();
        let listed = |position: usize| positions.contains(&(position as u32));
        assert_same(&found, &exact(&vectors, query, 50, &rows, listed));
    }
}

#[test]
fn equal_scores_are_ordered_by_row() {
    // The same vector everywhere, and descending rows.
    let vectors = clustered(1, 2).repeat(100);
    let rows: Vec<u64> = (0..100).rev().collect();
    let filter = Filter {
        live: None,
        rows: &rows,
        within: None,
    };
    let buffer = F32Buffer::Owned(vectors.clone());
    let found = scan(&buffer, DIM, &vectors[..DIM], 10, filter).unwrap();
    let found: Vec<u64> = found
        .iter()
        .map(|hit| rows[hit.position as usize])
        .collect();
    assert_eq!(found, (0..10).collect::<Vec<u64>>());
}

#[test]
fn a_walk_finds_nearly_what_an_exact_search_finds() {
    const COUNT: usize = 8000;
    let vectors = clustered(COUNT, 2);
    let rows = rows(COUNT);
    let index = graph(&vectors);
    let live = live_without(COUNT, |position| position % 5 == 0);
    let within: RowSet = rows.iter().step_by(4).map(|row| RowId(*row)).collect();
    for (live, within) in [
        (None, None),
        (Some(&live[..]), None),
        (Some(&live[..]), Some(&within)),
    ] {
        let filter = Filter {
            live,
            rows: &rows,
            within,
        };
        let accepts = |position: usize| {
            (live.is_none() || !position.is_multiple_of(5))
                && (within.is_none() || position.is_multiple_of(4))
        };
        let mut compared = Compared::default();
        let mut recall = 0.0;
        for query in clustered(50, 3).chunks(DIM) {
            let expected = exact(&vectors, query, 10, &rows, accepts);
            let found = index
                .walk(query, &STAGES, usize::MAX, filter, &mut compared)
                .unwrap();
            assert_eq!(found.len(), 128);
            for hit in &found {
                assert!(accepts(hit.position as usize));
            }
            // Each stage is sorted by exact scores.
            assert!(found[..32].is_sorted_by(|a, b| a.score >= b.score));
            assert!(found[32..].is_sorted_by(|a, b| a.score >= b.score));
            // The list for one stage is a prefix of the list for two.
            let first = index
                .walk(query, &STAGES[..1], usize::MAX, filter, &mut compared)
                .unwrap();
            assert_eq!(first, found[..32]);
            recall += share_of(&first[..10], &expected);
        }
        assert!(recall / 50.0 >= 0.97, "{}", recall / 50.0);
        // 100 traversals compare far fewer than all codes.
        let unfiltered = live.is_none() && within.is_none();
        assert!(
            !unfiltered || compared.walked < 100 * COUNT / 4,
            "{compared:?}"
        );
    }
}

#[test]
fn a_walk_ends_at_its_budget() {
    let vectors = clustered(8000, 2);
    let rows = rows(8000);
    let index = graph(&vectors);
    let filter = Filter {
        live: None,
        rows: &rows,
        within: None,
    };
    let query = &clustered(1, 3)[..];
    let mut compared = Compared::default();
    let all = index
        .walk(query, &STAGES, usize::MAX, filter, &mut compared)
        .unwrap();
    // Enough for the first stage only, and for none.
    let narrow = index
        .walk(query, &STAGES, compared.walked - 1, filter, &mut compared)
        .unwrap();
    assert_eq!(narrow, all[..32]);
    let none = index
        .walk(query, &STAGES, 20, filter, &mut compared)
        .unwrap();
    assert_eq!(none, []);
}

#[test]
fn a_scan_by_codes_returns_nearly_the_exact_best() {
    let vectors = clustered(4000, 2);
    let rows = rows(4000);
    let index = graph(&vectors);
    let positions: Vec<u32> = (0..4000).step_by(3).collect();
    let mut compared = Compared::default();
    let mut recall = 0.0;
    for query in clustered(20, 3).chunks(DIM) {
        let listed = |position: usize| position.is_multiple_of(3);
        let expected = exact(&vectors, query, 10, &rows, listed);
        let long = index
            .scan_codes(query, &positions, 500, &rows, &mut compared)
            .unwrap();
        let short = index
            .scan_codes(query, &positions, 10, &rows, &mut compared)
            .unwrap();
        assert_eq!(short, long[..10]);
        recall += share_of(&short, &expected);
        let all = index
            .scan_codes(query, &positions, usize::MAX, &rows, &mut compared)
            .unwrap();
        assert_eq!(all.len(), positions.len());
    }
    assert!(recall / 20.0 >= 0.97, "{}", recall / 20.0);
}

#[test]
fn a_cancelled_build_is_an_error() {
    let vectors = clustered(20_000, 2);
    let shape = GraphShape {
        links: 16,
        ef_construction: 100,
    };
    let mut reports = 0;
    let built = NativeIndex::build_graph(
        Arc::new(F32Buffer::Owned(vectors.clone())),
        Arc::new(encoded(&vectors)),
        DIM,
        shape,
        None,
        &mut |_| {
            reports += 1;
            reports < 3
        },
    );
    assert!(built.is_err());
}

/// 300 vectors of 8 dimensions like those of the fixture, up to rounding.
fn fixture_vectors() -> Vec<f32> {
    let vector = |i: usize| {
        let number = |j: usize| (i * i * (j + 3) + i * (7 * j + 3)) % 307;
        let numbers: Vec<f32> = (0..8).map(|j| number(j) as f32 / 307.0 - 0.5).collect();
        let norm = numbers.iter().map(|x| x * x).sum::<f32>().sqrt();
        numbers.into_iter().map(move |x| x / norm)
    };
    (0..300).flat_map(vector).collect()
}

/// `tests/data/codes_of_8_bits.index`: an `IndexIVFPQ` of one 8-bit code a vector in 4 lists, trained
/// on these vectors and written by faiss-cpu 1.15. Folders of older versions have such files and
/// keep them until a merge.
#[test]
fn inverted_files_of_8_bit_codes_are_still_searched() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/codes_of_8_bits.index");
    let vectors = Arc::new(F32Buffer::Owned(fixture_vectors()));
    let index = NativeIndex::open(&file, Arc::clone(&vectors), None, 8).unwrap();
    let live = live_without(300, |position| position % 2 == 1);
    let rows: Vec<u64> = (0..300).collect();
    let all = Filter {
        live: None,
        rows: &rows,
        within: None,
    };
    let live = Filter {
        live: Some(&live),
        ..all
    };
    let mut compared = Compared::default();
    let (mut found, mut removed) = (0, 0);
    for (position, vector) in vectors.as_slice().chunks(8).enumerate() {
        // Full vectors rank the better half by codes of one number.
        let mut is_found = |filter| {
            let depth = ProbeDepth {
                wanted: 1,
                ranked: 150,
                probed: 4,
            };
            let (nearest, _) = index.probe(vector, depth, filter, &mut compared).unwrap();
            nearest[0].position as usize == position
        };
        found += usize::from(is_found(all));
        removed += usize::from(!position.is_multiple_of(2) && is_found(live));
    }
    assert!(found >= 290, "{found} of 300 find themselves");
    assert_eq!(removed, 0);
}
