//! Evaluation of filters over 100,000 documents.

#![allow(clippy::expect_used, reason = "a bench may panic")]

mod data;

use clipdb_index::{CollectionIndex, Fields, Filter};
use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::{Value, json};

fn select(criterion: &mut Criterion) {
    let (_folder, index) = data::collection(100_000, false);
    let mut group = criterion.benchmark_group("filter");
    #[allow(clippy::type_complexity, reason = "a table")]
    let filters: [(&str, fn(u64) -> Value); 5] = [
        (
            "a tenth by range",
            |n| json!({"serial": {"$gte": n, "$lt": n + 10_000}}),
        ),
        (
            "a hundredth by range",
            |n| json!({"serial": {"$gte": n, "$lt": n + 1000}}),
        ),
        (
            "two years",
            |n| json!({"year": {"$in": [2003, 2011]}, "serial": {"$gte": n}}),
        ),
        (
            "substring",
            |n| json!({"name": {"$contains": "999"}, "serial": {"$gte": n}}),
        ),
        ("radius", |n| {
            let area = json!({"lat": 45.0, "lon": 5.0, "radius_m": 500_000});
            json!({"place": {"$geo_radius": area}, "serial": {"$gte": n}})
        }),
    ];
    for (name, filter) in filters {
        // Another filter each time: results are cached.
        let mut next = 0;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                next = (next + 1) % 50_000;
                rows(&index, &filter(next))
            });
        });
    }
    group.finish();
}

fn rows(index: &CollectionIndex, filter: &Value) -> usize {
    let filter = Filter::parse(filter, &Fields::default()).expect("a valid filter");
    index.select(&filter).expect("a readable index").len()
}

criterion_group!(benches, select);
criterion_main!(benches);
