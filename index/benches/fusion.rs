//! Fusion of a keyword list, an image list and a text list.

use clipdb_index::fusion::{DEPTH, Fusion, RankedList};
use clipdb_index::{ListKind, RowId, Scored};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

/// Hits with falling scores; `step` decides which rows the lists share.
fn hits(count: usize, step: u64) -> Vec<Scored> {
    (0..count as u64)
        .map(|rank| Scored {
            row: RowId(rank * step % 10_007),
            score: 1.0 / (1.0 + rank as f32 / 20.0),
            passage: 0,
        })
        .collect()
}

fn fuse(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fusion");
    for depth in [DEPTH, 1000] {
        let (keyword, image, text) = (hits(depth, 7), hits(depth, 11), hits(depth, 77));
        let lists = [
            (ListKind::Keyword, &keyword),
            (ListKind::Image, &image),
            (ListKind::Text, &text),
        ]
        .map(|(kind, hits)| RankedList {
            kind,
            hits,
            full_score: 1.0,
        });
        let fusion = Fusion::default();
        group.bench_function(BenchmarkId::from_parameter(depth), |bencher| {
            bencher.iter(|| fusion.fuse(&lists));
        });
    }
    group.finish();
}

criterion_group!(benches, fuse);
criterion_main!(benches);
