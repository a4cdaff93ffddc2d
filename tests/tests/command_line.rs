//! The client commands: `clipdb ingest`, `clipdb search`, `clipdb profile`, `clipdb models`.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::path::Path;

use clipdb_tests::{Finished, Server, Setup, SharedServer, pictures};
use serde_json::Value;

static SERVER: SharedServer = SharedServer::new(Server::start);

fn clipdb(arguments: &[&str]) -> Finished {
    let setup = arguments
        .iter()
        .fold(Setup::new(), |setup, argument| setup.switch(argument));
    setup
        .variable("CLIPDB_SERVER", SERVER.client().base())
        .run()
}

#[test]
fn a_folder_is_ingested_and_searched() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("inner")).unwrap();
    fs::write(
        folder.path().join("umbrella.png"),
        pictures::drawing("umbrella"),
    )
    .unwrap();
    fs::write(
        folder.path().join("inner/castle.png"),
        pictures::drawing("castle"),
    )
    .unwrap();
    fs::write(
        folder.path().join("lines.txt"),
        "The first line.\nA second one about sailing.\n",
    )
    .unwrap();
    fs::write(
        folder.path().join("more.ndjson"),
        "{\"id\":\"from-ndjson\",\"text\":\"a document of its own\"}\n",
    )
    .unwrap();
    let path = folder.path().to_str().unwrap();

    let finished = clipdb(&["ingest", path, "--collection", "cli"]);
    assert_eq!(
        finished.code,
        Some(0),
        "{}{}",
        finished.stdout,
        finished.stderr
    );
    let collection = SERVER.client().existing("cli");
    assert_eq!(collection.summary()["documents"], 5);

    let finished = clipdb(&["search", "sailing", "--collection", "cli"]);
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    assert!(
        finished.stdout.contains("A second one about sailing."),
        "{}",
        finished.stdout
    );

    let image = folder.path().join("umbrella.png");
    let finished = clipdb(&[
        "search",
        "--image",
        image.to_str().unwrap(),
        "--json",
        "-n",
        "10",
        "--collection",
        "cli",
    ]);
    let answer: Value = serde_json::from_str(&finished.stdout).unwrap();
    let hits = answer["hits"].as_array().unwrap();
    assert!(
        hits.iter()
            .any(|hit| hit["id"].as_str().unwrap().contains("umbrella")
                || hit["metadata"].to_string().contains("umbrella")),
        "{answer:#}"
    );

    let finished = clipdb(&["profile", "--collection", "cli"]);
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    assert!(finished.stdout.contains("model"), "{}", finished.stdout);
}

#[test]
fn only_the_broken_file_fails_and_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("good.png"), pictures::png(1)).unwrap();
    fs::write(folder.path().join("broken.jpg"), pictures::truncated_jpeg()).unwrap();
    let finished = clipdb(&[
        "ingest",
        folder.path().to_str().unwrap(),
        "--collection",
        "broken",
    ]);
    assert_eq!(finished.code, Some(1), "{}", finished.stdout);
    assert!(
        finished.stderr.contains("broken.jpg"),
        "{}",
        finished.stderr
    );
    assert_eq!(SERVER.client().existing("broken").summary()["documents"], 1);
}

#[test]
fn a_missing_server_is_reported_in_one_sentence() {
    let finished = Setup::new()
        .switch("search")
        .switch("words")
        .variable("CLIPDB_SERVER", "http://127.0.0.1:9")
        .run();
    assert_eq!(finished.code, Some(1));
    assert!(
        finished.stderr.starts_with("clipdb: ") && finished.stderr.contains("127.0.0.1:9"),
        "{}",
        finished.stderr
    );
}

#[test]
fn models_are_listed() {
    let finished = clipdb(&["models"]);
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let row = |name: &str| -> Vec<String> {
        let line = finished.stdout.lines().find(|line| line.starts_with(name));
        let line = line.unwrap_or_else(|| panic!("no {name}: {}", finished.stdout));
        line.split_whitespace().map(str::to_owned).collect()
    };
    for (name, words) in [
        ("clipdb-multilingual", ["576", "MB", "Apache-2.0"]),
        ("clipdb-mini", ["384", "MB", "Apache-2.0"]),
        ("openai/clip-vit-large-patch14", ["768", "1714", "MIT"]),
        ("RN50x64::openai", ["1024", "hub", "MIT"]),
    ] {
        let row = row(name);
        assert!(
            words.iter().all(|word| row.iter().any(|cell| cell == word)),
            "{row:?}"
        );
    }
}

#[test]
fn a_model_is_checked_by_name_and_by_folder() {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../embed/parity/golden/clip-vit-base-patch32");
    for (model, lines) in [
        (
            "clipdb-multilingual",
            [
                "dimensions  576",
                "context     256 tokens",
                "image size  260 × 260",
            ],
        ),
        (
            folder.to_str().unwrap(),
            [
                "dimensions  48",
                "context     77 tokens",
                "image size  224 × 224",
            ],
        ),
    ] {
        let finished = clipdb(&["models", "check", model]);
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        let output = &finished.stdout;
        for line in
            lines
                .iter()
                .chain(&["parameters  ", "towers      text and image", "licence     "])
        {
            assert!(output.contains(line), "'{line}': {output}");
        }
        for timed in ["one text ", "one image "] {
            let line = output
                .lines()
                .find(|line| line.trim_start().starts_with(timed))
                .unwrap();
            assert!(line.contains(" ms "), "{line}");
        }
    }
}

#[test]
fn a_folder_without_a_model_is_reported_in_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let finished = clipdb(&["models", "check", folder.path().to_str().unwrap()]);
    assert_eq!(finished.code, Some(2), "{}", finished.stdout);
    assert!(
        finished.stderr.contains("config.json"),
        "{}",
        finished.stderr
    );

    fs::write(folder.path().join("config.json"), r#"{"model_type": "t5"}"#).unwrap();
    let finished = clipdb(&["models", "check", folder.path().to_str().unwrap()]);
    assert_eq!(finished.code, Some(1), "{}", finished.stdout);
    assert_eq!(
        finished
            .stderr
            .lines()
            .filter(|line| line.starts_with("clipdb: "))
            .count(),
        1
    );
}
