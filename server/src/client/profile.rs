//! `clipdb profile`: shows the time spent in each stage of a search as a tree. The stages within the
//! server are the `timings` of its responses; the network is the rest of the time that the client
//! measures.

use super::connection::Connection;
use super::search::image_query;
use super::{ClientError, ServerArguments, print_out};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

/// Searches before the measurement, which warm up caches and connections.
const WARM_UP: usize = 3;

/// Texts that differ between searches, so that no cache is hit.
const TEXTS: [&str; 20] = [
    "a happy potato",
    "something to drink",
    "bad weather on the way",
    "an old castle",
    "two people dancing",
    "a letter from a friend",
    "a red bicycle",
    "breakfast on a table",
    "a walk in the woods",
    "a small dog asleep",
    "the night sky",
    "a boat near the shore",
    "musical instruments",
    "a crowded street",
    "fresh fruit",
    "snow on the mountains",
    "a birthday cake",
    "a large family",
    "a train at the station",
    "flowers in a garden",
];

#[derive(Debug, Args)]
pub struct ProfileArguments {
    /// Number of searches of each kind
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub runs: u16,

    /// Image to search by [default: a generated one of 256 × 256 pixels]
    #[arg(long, value_name = "FILE")]
    pub image: Option<PathBuf>,

    #[command(flatten)]
    pub server: ServerArguments,
}

/// Time per stage of a search, in microseconds. A stage that the server does not report took no time:
/// a keyword search runs no model, for example.
#[derive(Debug, Default, Clone, Copy, PartialEq, Deserialize)]
#[serde(default)]
struct Timings {
    queue_us: f64,
    preprocess_us: f64,
    model_us: f64,
    vector_us: f64,
    keyword_us: f64,
    fusion_us: f64,
    fetch_us: f64,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    round_trip_us: f64,
    server_us: f64,
    parts: Timings,
}

type Part = (&'static str, fn(&Sample) -> f64);

const PARTS: [Part; 8] = [
    ("queue", |sample| sample.parts.queue_us),
    ("preprocessing", |sample| sample.parts.preprocess_us),
    ("model", |sample| sample.parts.model_us),
    ("vector search", |sample| sample.parts.vector_us),
    ("keyword search", |sample| sample.parts.keyword_us),
    ("fusion", |sample| sample.parts.fusion_us),
    ("fetching the hits", |sample| sample.parts.fetch_us),
    ("other", Sample::rest_us),
];

impl Sample {
    fn network_us(&self) -> f64 {
        (self.round_trip_us - self.server_us).max(0.0)
    }

    /// The server's total minus the stages that it reports.
    fn rest_us(&self) -> f64 {
        let parts = self.parts;
        let named = parts.queue_us
            + parts.preprocess_us
            + parts.model_us
            + parts.vector_us
            + parts.keyword_us
            + parts.fusion_us
            + parts.fetch_us;
        (self.server_us - named).max(0.0)
    }
}

/// Repeats searches and prints the tree.
///
/// # Errors
/// The image cannot be read, the responses have no timings, or a request fails.
pub fn run(arguments: &ProfileArguments) -> Result<ExitCode, ClientError> {
    let (image, image_name) = match &arguments.image {
        Some(path) => (
            std::fs::read(path).map_err(|source| ClientError::Unreadable {
                path: path.clone(),
                source,
            })?,
            path.display().to_string(),
        ),
        None => (generated_image(), "a generated 256 × 256 image".to_owned()),
    };
    let by_image = image_query(&image);
    let connection = Connection::open(&arguments.server)?;
    let runs = usize::from(arguments.runs);
    let bar = ProgressBar::new(2 * (runs + WARM_UP) as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} searches") {
        bar.set_style(style);
    }
    let text = |run: usize| json!({"text": TEXTS[run % TEXTS.len()]});
    let texts = samples(&connection, runs, &bar, text)?;
    let images = samples(&connection, runs, &bar, |_| by_image.clone())?;
    bar.finish_and_clear();
    let mut output = format!(
        "{runs} searches of each kind in collection '{}' at {}\n",
        connection.collection(),
        connection.server()
    );
    output += &tree("by text, hybrid", &texts);
    output += &tree(&format!("by {image_name}"), &images);
    print_out(&output)?;
    Ok(ExitCode::SUCCESS)
}

fn samples(
    connection: &Connection,
    runs: usize,
    bar: &ProgressBar,
    query: impl Fn(usize) -> Value,
) -> Result<Vec<Sample>, ClientError> {
    let mut samples = Vec::with_capacity(runs);
    for run in 0..WARM_UP + runs {
        let query = query(run);
        let started = Instant::now();
        let response = connection.search(&query)?;
        let round_trip_us = started.elapsed().as_secs_f64() * 1e6;
        let sample = sample(&response, round_trip_us).ok_or_else(|| ClientError::NotClipdb {
            server: connection.server(),
            detail: "its response to a search has no timings.total_us".to_owned(),
        })?;
        if run >= WARM_UP {
            samples.push(sample);
        }
        bar.inc(1);
    }
    Ok(samples)
}

fn sample(response: &Value, round_trip_us: f64) -> Option<Sample> {
    let timings = response.get("timings")?;
    Some(Sample {
        round_trip_us,
        server_us: timings.get("total_us")?.as_f64()?,
        parts: Timings::deserialize(timings).ok()?,
    })
}

fn tree(title: &str, samples: &[Sample]) -> String {
    let mut tree = format!("\n{title:<28}{:>12}{:>12}\n", "median", "p95");
    let mut line = |branch: &str, name: &str, part: fn(&Sample) -> f64| {
        let values: Vec<f64> = samples.iter().map(part).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(
            tree,
            "{:<28}{:>12}{:>12}",
            format!("{branch}{name}"),
            milliseconds(percentile(&values, 50)),
            milliseconds(percentile(&values, 95))
        );
    };
    line("", "round trip", |sample| sample.round_trip_us);
    line("├─ ", "network", Sample::network_us);
    line("└─ ", "server", |sample| sample.server_us);
    for (place, (name, part)) in PARTS.into_iter().enumerate() {
        let branch = if place + 1 == PARTS.len() {
            "└─ "
        } else {
            "├─ "
        };
        line(&format!("   {branch}"), name, part);
    }
    tree
}

/// The smallest value that at least `percent` of the values do not exceed.
fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

fn milliseconds(microseconds: f64) -> String {
    format!("{:.2} ms", microseconds / 1000.0)
}

/// A BMP of 256 × 256 pixels in 24 bits: a red disc over a blue slope.
fn generated_image() -> Vec<u8> {
    const SIDE: i32 = 256;
    const HEADER: u32 = 54;
    let pixels = (SIDE * SIDE * 3) as u32;
    let mut image = Vec::with_capacity((HEADER + pixels) as usize);
    image.extend_from_slice(b"BM");
    for field in [HEADER + pixels, 0, HEADER, 40, SIDE as u32, SIDE as u32] {
        image.extend_from_slice(&field.to_le_bytes());
    }
    for field in [1u16, 24] {
        image.extend_from_slice(&field.to_le_bytes());
    }
    for field in [0, pixels, 2835, 2835, 0, 0u32] {
        image.extend_from_slice(&field.to_le_bytes());
    }
    for row in 0..SIDE {
        for column in 0..SIDE {
            let (x, y) = (column - SIDE / 2, row - SIDE / 2);
            let pixel = if x * x + y * y < 80 * 80 {
                [30, 30, 220]
            } else {
                [255 - row as u8 / 2, 160, column as u8 / 2]
            };
            image.extend_from_slice(&pixel);
        }
    }
    image
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_observed_values() {
        let values: Vec<f64> = (1..=20).rev().map(f64::from).collect();
        assert_eq!(percentile(&values, 50), 10.0);
        assert_eq!(percentile(&values, 95), 19.0);
        assert_eq!(percentile(&[7.0], 95), 7.0);
    }

    #[test]
    fn the_parts_of_a_sample_add_up_to_the_round_trip() {
        let response = json!({"timings": {"queue_us": 10, "model_us": 500, "vector_us": 40.5, "total_us": 600}});
        let sample = sample(&response, 900.0).unwrap();
        let parts: f64 = PARTS.iter().map(|(_, part)| part(&sample)).sum();
        assert_eq!(parts + sample.network_us(), 900.0);
        assert_eq!(sample.rest_us(), 49.5);
        assert!(super::sample(&json!({"timings": {}}), 900.0).is_none());
        assert!(super::sample(&json!({}), 900.0).is_none());
    }

    #[test]
    fn the_tree_has_a_line_for_every_stage() {
        let response = json!({"timings": {"model_us": 1500, "total_us": 2000}});
        let tree = tree("by text", &[sample(&response, 2500.0).unwrap()]);
        let lines: Vec<_> = tree.lines().skip(1).collect();
        assert_eq!(lines.len(), 1 + 3 + PARTS.len());
        assert_eq!(
            lines[0],
            "by text                           median         p95"
        );
        assert_eq!(
            lines[2],
            "├─ network                       0.50 ms     0.50 ms"
        );
        assert_eq!(
            lines[6],
            "   ├─ model                      1.50 ms     1.50 ms"
        );
    }

    #[test]
    fn the_generated_image_is_as_long_as_its_header_says() {
        let image = generated_image();
        let length = u32::from_le_bytes(image[2..6].try_into().unwrap());
        assert_eq!(image.len(), length as usize);
        assert!(image.starts_with(b"BM"));
    }
}
