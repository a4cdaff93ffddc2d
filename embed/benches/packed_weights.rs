//! Are products with packed weights faster than LibTorch's, and by how much? The shapes are those of
//! the linear layers of ViT-B/32's text tower; rows are the tokens of a batch.
//!
//! `OMP_WAIT_POLICY=passive cargo bench -p clipdb-embed --bench packed_weights`. The server sets the
//! same wait policy. `CLIPDB_BENCH_THREADS` is the number of threads, by default that of the cores.

use std::hint::black_box;

use clipdb_embed::kernels::{PackedWeights, use_threads};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tch::{Device, Kind, Tensor};

/// Inputs and outputs: query, key and value; the two layers of the MLP.
const SHAPES: [(i64, i64); 3] = [(512, 1536), (512, 2048), (2048, 512)];
/// One, two and four texts of 8 tokens; a batch of 8 texts of 77 tokens.
const ROWS: [i64; 4] = [8, 16, 32, 616];

fn products(criterion: &mut Criterion) {
    use_threads(threads());
    tch::manual_seed(1);
    let random = |shape: [i64; 2]| Tensor::randn(shape, (Kind::Float, Device::Cpu));
    for (inputs, outputs) in SHAPES {
        let weight = random([outputs, inputs]);
        let bias = random([1, outputs]).view(-1);
        let Ok(Some(packed)) = PackedWeights::new(&weight, Some(&bias)) else {
            println!("skipped: this processor has neither AVX-512 nor AVX2");
            return;
        };
        let mut group = criterion.benchmark_group(format!("{inputs}x{outputs}"));
        for rows in ROWS {
            let x = random([rows, inputs]);
            let products = rows * inputs * outputs;
            group.throughput(Throughput::Elements(products.unsigned_abs()));
            group.bench_with_input(BenchmarkId::new("packed", rows), &x, |bencher, x| {
                bencher.iter(|| packed.multiply(black_box(x)));
            });
            group.bench_with_input(BenchmarkId::new("libtorch", rows), &x, |bencher, x| {
                bencher.iter(|| black_box(x).f_linear(&weight, Some(&bias)));
            });
        }
        group.finish();
    }
}

fn threads() -> usize {
    let configured = std::env::var("CLIPDB_BENCH_THREADS").ok();
    configured
        .and_then(|threads| threads.parse().ok())
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
}

criterion_group!(benches, products);
criterion_main!(benches);
