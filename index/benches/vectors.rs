//! Search of 20,000 vectors: the graph traversal, the kernels of 8-bit codes (a filter that a scan by
//! codes answers) and of full vectors (an exact scan).

mod data;

use clipdb_index::{Nearest, RowId, RowSet, VectorKind};
use criterion::{Criterion, criterion_group, criterion_main};

const ROWS: u64 = 20_000;

fn nearest(criterion: &mut Criterion) {
    let (_folder, index) = data::collection(ROWS, true);
    let queries = data::queries(&index);
    let one_in = |every: usize| -> RowSet { (0..ROWS).step_by(every).map(RowId).collect() };
    let (half, tenth, hundredth) = (one_in(2), one_in(10), one_in(100));
    let unfiltered = Nearest::default();
    let within = |rows| Nearest {
        within: Some(rows),
        ..unfiltered
    };
    let searches = [
        ("graph", unfiltered),
        ("graph, half of the rows", within(&half)),
        ("codes, a tenth of the rows", within(&tenth)),
        ("codes, a hundredth of the rows", within(&hundredth)),
        (
            "exact",
            Nearest {
                exact: true,
                ..unfiltered
            },
        ),
    ];
    let mut group = criterion.benchmark_group("nearest");
    for (name, options) in searches {
        let mut at = 0;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                at = (at + 1) % queries.len();
                index
                    .nearest(&queries[at], VectorKind::Image, 10, &options)
                    .expect("a valid query")
            });
        });
    }
    group.finish();
}

criterion_group!(benches, nearest);
criterion_main!(benches);
