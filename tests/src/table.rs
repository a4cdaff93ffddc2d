//! Figures as a Markdown table, and percentiles.

use std::time::Duration;

/// Prints the head of a table. Its rows are printed one by one, so that a long run shows progress.
pub fn head(columns: &[&str]) {
    println!("\n| {} |", columns.join(" | "));
    println!("|{}", " --- |".repeat(columns.len()));
}

pub fn row(cells: &[String]) {
    println!("| {} |", cells.join(" | "));
}

/// The value below which `share` of the values lie (nearest rank), in milliseconds; NaN if there
/// are no values.
pub fn percentile(values: &mut [Duration], share: f64) -> f64 {
    values.sort_unstable();
    let rank = (values.len() as f64 * share).ceil() as usize;
    values
        .get(rank.saturating_sub(1))
        .map_or(f64::NAN, |value| value.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_use_the_nearest_rank() {
        let mut values: Vec<_> = (1..=100).rev().map(Duration::from_millis).collect();
        assert_eq!(percentile(&mut values, 0.5), 50.0);
        assert_eq!(percentile(&mut values, 0.99), 99.0);
        assert_eq!(percentile(&mut values[..1], 0.99), 1.0);
        assert!(percentile(&mut [], 0.5).is_nan());
    }
}
