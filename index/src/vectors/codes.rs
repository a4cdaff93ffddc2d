//! Vectors as 8-bit codes, by which graphs are built and traversed: the safe interface of
//! `native/codes.cpp`.
#![allow(unsafe_code)]

use super::f32_buffer::F32Buffer;
use crate::error::IndexError;

/// Encodes contiguous vectors. Returns their codes, [`code_bytes`] each, and one scale for each
/// vector.
pub(super) fn encode(vectors: &[f32], dim: usize) -> (Vec<u8>, Vec<f32>) {
    let count = vectors.len() / dim;
    let mut codes = vec![0; count * code_bytes(dim)];
    let mut scales = vec![0.0; count];
    // SAFETY: `vectors` holds `count` times `dim` numbers; both outputs have room for as many.
    unsafe {
        clipdb_encode(
            vectors.as_ptr(),
            count,
            dim,
            codes.as_mut_ptr(),
            scales.as_mut_ptr(),
        );
    }
    (codes, scales)
}

/// Checks that codes and scales are as many as the vectors. Any bytes are valid codes.
pub(super) fn check(codes: &F32Buffer, count: usize, dim: usize) -> Result<(), IndexError> {
    if codes.as_bytes().len() == count * (code_bytes(dim) + size_of::<f32>()) {
        return Ok(());
    }
    Err(IndexError::Faiss {
        doing: "use codes",
        reason: format!("their length does not match {count} vectors of {dim} dimensions"),
    })
}

/// Bytes of the code of one vector.
fn code_bytes(dim: usize) -> usize {
    // SAFETY: it only computes a number.
    unsafe { clipdb_code_bytes(dim) }
}

unsafe extern "C" {
    fn clipdb_code_bytes(dim: usize) -> usize;
    fn clipdb_encode(
        vectors: *const f32,
        count: usize,
        dim: usize,
        codes: *mut u8,
        scales: *mut f32,
    );
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    unsafe extern "C" {
        fn clipdb_code_sums(
            level: usize,
            codes: *const u8,
            query: *const i8,
            bytes: usize,
            sums: *mut i32,
        ) -> bool;
    }

    /// Five codes and a query, all of the same number of cache lines.
    fn codes_and_query() -> impl Strategy<Value = (Vec<u8>, Vec<i8>)> {
        (1_usize..=16).prop_flat_map(|lines| {
            (
                prop::collection::vec(1_u8..=255, 5 * 64 * lines),
                prop::collection::vec(-127_i8..=127, 64 * lines),
            )
        })
    }

    fn expected(codes: &[u8], query: &[i8]) -> Vec<i32> {
        let with_query = |code: &[u8]| -> i32 {
            let products = code.iter().zip(query);
            products.map(|(x, y)| i32::from(*x) * i32::from(*y)).sum()
        };
        let mut sums: Vec<i32> = codes.chunks(query.len()).map(with_query).collect();
        let (one, other) = (&codes[..query.len()], &codes[query.len()..2 * query.len()]);
        let between = one.iter().zip(other);
        sums.push(
            between
                .map(|(x, y)| (i32::from(*x) - 128) * (i32::from(*y) - 128))
                .sum(),
        );
        sums
    }

    /// `every_kernel_gives_the_same_sums` leaves these out.
    #[test]
    fn kernels_that_do_not_run_here_are_reported() {
        for (level, name) in [(0, "AVX-512 VNNI"), (1, "AVX2")] {
            let (codes, query, mut sums) = ([0; 5 * 64], [0; 64], [0; 6]);
            // SAFETY: five codes and a query of as many bytes each, and room for six sums.
            let runs = unsafe {
                clipdb_code_sums(
                    level,
                    codes.as_ptr(),
                    query.as_ptr(),
                    query.len(),
                    sums.as_mut_ptr(),
                )
            };
            if !runs {
                clipdb_skip::report_skip(&format!("the {name} kernel does not run here"));
            }
        }
    }

    proptest! {
        /// VNNI, AVX2 and plain, where this processor has them.
        #[test]
        fn every_kernel_returns_the_same_sums((codes, query) in codes_and_query()) {
            let expected = expected(&codes, &query);
            let mut supported = 0;
            for level in 0..3 {
                let mut sums = vec![0; 6];
                // SAFETY: five codes and a query of as many bytes each, and room for six sums.
                let has = unsafe {
                    clipdb_code_sums(level, codes.as_ptr(), query.as_ptr(), query.len(), sums.as_mut_ptr())
                };
                if has {
                    supported += 1;
                    prop_assert_eq!(&sums, &expected, "level {}", level);
                }
            }
            prop_assert!(supported > 0);
        }

        #[test]
        fn a_code_is_within_half_a_step_of_its_dimension(
            vector in prop::collection::vec(-10.0_f32..10.0, 1..200)
        ) {
            let (codes, scales) = encode(&vector, vector.len());
            prop_assert_eq!(codes.len() % 64, 0);
            for (number, code) in vector.iter().zip(&codes) {
                let back = (f32::from(*code) - 128.0) * scales[0];
                prop_assert!((back - number).abs() <= scales[0] * 0.501, "{} became {}", number, back);
            }
        }
    }
}
