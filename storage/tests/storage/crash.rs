//! `kill -9`, and the loss of unsynced data, leave complete groups only.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use clipdb_storage::{CollectionStore, NewDocument, Store, StoreOptions, Write};
use serde_json::json;
use tempfile::TempDir;

use crate::{create, image_files, name, object, open, picture};

const GROUP: u64 = 12;
const FOLDER: &str = "CLIPDB_TEST_FOLDER";

/// Group `round`: its documents have that round in their metadata, and replace those of an earlier
/// group.
fn group(round: u64) -> Vec<Write> {
    let document = |n| NewDocument {
        metadata: object(json!({"round": round})),
        ..picture(
            &format!("{n}-{}", round % 3),
            format!("picture {round} {n}").repeat(200).as_bytes(),
        )
    };
    (0..GROUP).map(document).map(Write::Put).collect()
}

/// Checks that all groups are complete, and returns the round of the last one.
fn last_complete_round(collection: &CollectionStore) -> Option<u64> {
    let mut rounds = BTreeMap::new();
    for document in collection.list(None, usize::MAX).unwrap() {
        let round = document.metadata["round"].as_u64().unwrap();
        *rounds.entry(round).or_insert(0) += 1;
        let image = document.image.unwrap();
        assert!(collection.read_image(&image.hash).unwrap().is_some());
        assert_eq!(collection.vectors(document.key).unwrap().len(), 1);
    }
    assert!(
        rounds.values().all(|&documents| documents == GROUP),
        "{rounds:?}"
    );
    let last = rounds.keys().next_back().copied();
    assert_eq!(collection.sequence(), last.map_or(0, |round| round + 1));
    assert_eq!(collection.len(), GROUP * rounds.len() as u64);
    assert_eq!(
        collection.live_keys().unwrap().len() as u64,
        collection.len()
    );
    last
}

#[test]
fn a_killed_process_leaves_all_acknowledged_groups_complete() {
    let dir = TempDir::new().unwrap();
    create(&open(dir.path()), "a");
    let mut acknowledged = None;
    for kill in 0..8 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "crash::commit_until_killed",
                "--ignored",
                "--nocapture",
            ])
            .env(FOLDER, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let rounds = lines
            .by_ref()
            .map_while(Result::ok)
            .filter_map(|line| line.parse().ok());
        for round in rounds.take(2 + kill) {
            acknowledged = Some(round);
        }
        // Somewhere within the next groups.
        std::thread::sleep(Duration::from_micros(1_700 * kill as u64));
        child.kill().unwrap();
        child.wait().unwrap();
        for round in lines
            .map_while(Result::ok)
            .filter_map(|line| line.parse().ok())
        {
            acknowledged = Some(round);
        }

        let collection = open(dir.path()).collection(&name("a")).unwrap();
        let last = last_complete_round(&collection);
        assert!(
            last >= acknowledged,
            "{acknowledged:?} was acknowledged, {last:?} is there"
        );
        assert_eq!(image_files(dir.path()).len() as u64, collection.len());
    }
    assert!(acknowledged >= Some(40), "{acknowledged:?}");
}

/// Not a test, but the process that the test above kills. Prints each durable round.
#[test]
#[ignore = "run by killed_at_any_moment_it_keeps_what_it_acknowledged_in_whole_groups"]
fn commit_until_killed() {
    let folder = std::env::var(FOLDER).unwrap();
    let collection = open(Path::new(&folder)).collection(&name("a")).unwrap();
    // The test harness has printed the name of the test without a line break.
    println!();
    for round in collection.sequence().. {
        collection.commit(group(round)).unwrap();
        println!("{round}");
    }
}

#[test]
fn a_log_truncated_anywhere_has_complete_groups() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    let collection = create(&store, "a");
    let log = dir.path().join("sled/db");
    let start = fs::metadata(&log).unwrap().len();
    let mut ends = Vec::new();
    for round in 0..6 {
        collection.commit(group(round)).unwrap();
        ends.push(fs::metadata(&log).unwrap().len());
    }
    let saved = TempDir::new().unwrap();
    copy_folder(dir.path(), saved.path());
    drop((store, collection));

    let mut kept = Vec::new();
    let last = ends[ends.len() - 1];
    for step in 0..=40 {
        let length = start + (last - start) * step / 40;
        let cut = TempDir::new().unwrap();
        copy_folder(saved.path(), cut.path());
        let log = OpenOptions::new()
            .write(true)
            .open(cut.path().join("sled/db"))
            .unwrap();
        log.set_len(length).unwrap();
        drop(log);
        if step % 8 == 4 {
            // The loss of recorded groups is reported. Without the record, as if it was not synced
            // either:
            let opened = Store::open(cut.path(), &StoreOptions::default());
            let refused = opened.and_then(|store| store.collection(&name("a")));
            assert!(refused.is_err(), "{length} of {last}");
        }
        fs::remove_file(cut.path().join("witness")).unwrap();
        let collection = open(cut.path()).collection(&name("a")).unwrap();
        let rounds = collection.sequence();
        assert_eq!(
            rounds,
            ends.iter().filter(|&&end| end <= length).count() as u64
        );
        // A later group may have removed their images, but not their records.
        let documents = collection.list(None, usize::MAX).unwrap();
        assert_eq!(documents.len() as u64, GROUP * rounds.min(3));
        kept.push(rounds);
    }
    assert_eq!((kept[0], kept[40]), (0, 6));
}

pub fn copy_folder(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&target).unwrap();
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}
