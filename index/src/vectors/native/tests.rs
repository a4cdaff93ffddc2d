use super::*;

const DIM: usize = 8;

/// As in the fixture, up to rounding.
fn vectors() -> Vec<f32> {
    let vector = |i: usize| {
        let number = |j| (i * i * (j + 3) + i * (7 * j + 3)) % 307;
        let numbers: Vec<f32> = (0..DIM).map(|j| number(j) as f32 / 307.0 - 0.5).collect();
        let norm = numbers.iter().map(|x| x * x).sum::<f32>().sqrt();
        numbers.into_iter().map(move |x| x / norm)
    };
    (0..300).flat_map(vector).collect()
}

/// `tests/data/codes_of_8_bits.index`: an `IndexIVFPQ` of one 8-bit number a vector in 4 lists,
/// trained on these vectors and written by faiss-cpu 1.15. Folders hold such files from when
/// codes had 8 bits, and are not built anew before they are merged.
#[test]
fn lists_of_8_bit_codes_are_still_searched() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/codes_of_8_bits.index");
    let vectors = Arc::new(Numbers::Owned(vectors()));
    let index = NativeIndex::open(&file, Arc::clone(&vectors), None, DIM).unwrap();
    let even: Vec<u64> = vec![0x5555_5555_5555_5555; 5];
    let live: Vec<AtomicU64> = even.into_iter().map(AtomicU64::new).collect();
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
    for (position, vector) in vectors.as_slice().chunks(DIM).enumerate() {
        // The best half by codes of one number are ranked.
        let mut is_found = |filter| {
            let (nearest, _) = index
                .probe(vector, 1, 150, 4, filter, &mut compared)
                .unwrap();
            nearest[0].0 as usize == position
        };
        found += usize::from(is_found(all));
        removed += usize::from(!position.is_multiple_of(2) && is_found(live));
    }
    assert!(found >= 290, "{found} of 300 find themselves");
    assert_eq!(removed, 0);
}
