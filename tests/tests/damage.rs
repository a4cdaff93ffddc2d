//! Corrupt and full disks: a bit flipped in each kind of file, a truncated or missing file, a full
//! disk, a read-only folder. Corrupt data is never served as if it were intact: derived files are
//! rebuilt, and the loss of a document is reported.
//!
//! The seed of the positions is printed; `CLIPDB_TEST_SEED` reproduces them.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use clipdb_tests::folder::{copy, files};
use clipdb_tests::{Answer, Client, Finished, Server, Setup, SmallDisk, Stopped, pictures};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tempfile::TempDir;

const DOCUMENTS: usize = 120;

fn random() -> StdRng {
    let given = std::env::var("CLIPDB_TEST_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(rand::random);
    println!("replay with CLIPDB_TEST_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

fn document(number: usize) -> Value {
    let text = format!("entry{number} of the book, {}", "word ".repeat(number % 50));
    let mut document = json!({ "id": format!("d{number:03}"), "text": text });
    if number.is_multiple_of(12) {
        document["image"] = Client::image(&pictures::png(number as u64));
    }
    document
}

/// The folder of a server that was shut down cleanly.
fn filled() -> Stopped {
    let server = Server::start();
    let collection = server.client().collection("book");
    for first in (0..DOCUMENTS).step_by(10) {
        let documents: Vec<Value> = (first..first + 10).map(document).collect();
        collection.add(&Value::Array(documents));
    }
    // Two startups: sled writes its page table when it opens.
    server.stop().start().stop()
}

/// The files of one kind, selected by a part of their path.
fn files_of(data: &Path, part: &str) -> Vec<PathBuf> {
    let found: Vec<PathBuf> = files(data)
        .into_iter()
        .filter(|path| {
            path.strip_prefix(data)
                .unwrap()
                .to_str()
                .unwrap()
                .contains(part)
        })
        .filter(|path| fs::metadata(path).unwrap().len() > 0)
        .collect();
    assert!(!found.is_empty(), "no file {part} in {}", data.display());
    found
}

fn flip(path: &Path, random: &mut StdRng) {
    let mut bytes = fs::read(path).unwrap();
    // A position with data: most of sled's log is holes.
    let at = loop {
        let at = random.random_range(0..bytes.len());
        if bytes[at] != 0 {
            break at;
        }
    };
    bytes[at] ^= 1 << random.random_range(0..8);
    fs::write(path, bytes).unwrap();
    println!("flipped a bit of byte {at} of {}", path.display());
}

/// Copies the folder, corrupts one kind of file and starts a server on the copy.
fn corrupted_copy(intact: &Stopped, corrupt: impl FnOnce(&Path)) -> Arc<TempDir> {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let data = folder.path().join("data");
    copy(&intact.data(), &data);
    corrupt(&data);
    folder
}

enum Started {
    Serving(Box<Server>),
    Refused(Finished),
}

fn start(folder: &Arc<TempDir>) -> Started {
    match Setup::new().try_start_in(Arc::clone(folder)) {
        Ok(server) => Started::Serving(Box::new(server)),
        Err(finished) => Started::Refused(finished),
    }
}

/// The number of intact documents, and of responses that report corruption. Any other response is
/// a failure.
fn intact_and_corrupt(client: &Client, what: &str) -> (usize, usize) {
    let collection = client.existing("book");
    let (mut intact, mut damaged) = (0, 0);
    let listed = client.get("/collections").expect(200).json();
    let all_of_it = listed["collections"][0]["status"] == "damaged";
    let mut judge = |answer: Answer, right: &dyn Fn(&Answer) -> bool, code: &str| {
        if answer.status == 200 && right(&answer) {
            intact += 1;
        } else {
            let code = if all_of_it {
                "collection_damaged"
            } else {
                code
            };
            assert_eq!(answer.status, 500, "{what}: {answer:?}");
            assert_eq!(answer.json()["code"], code, "{what}: {answer:?}");
            damaged += 1;
        }
    };
    for number in 0..DOCUMENTS {
        let sent = document(number);
        let id = sent["id"].as_str().unwrap();
        let same = |answer: &Answer| answer.json()["text"] == sent["text"];
        judge(collection.document(id), &same, "document_damaged");
        if number.is_multiple_of(12) {
            let same = |answer: &Answer| answer.body == pictures::png(number as u64);
            judge(collection.image(id), &same, "image_damaged");
        }
    }
    (intact, damaged)
}

fn assert_everything_is_served(folder: &Arc<TempDir>, what: &str) {
    let Started::Serving(server) = start(folder) else {
        panic!("{what}: it was not healed")
    };
    assert_eq!(intact_and_corrupt(server.client(), what).1, 0, "{what}");
    let collection = server.client().existing("book");
    assert_eq!(collection.check()["agrees"], true, "{what}");
    let ids = collection.ids(&json!({ "keywords": "entry77" }));
    assert_eq!(ids, ["d077"], "{what}");
}

#[test]
fn corrupt_derived_files_are_rebuilt() {
    let mut random = random();
    let intact = filled();
    for part in ["snap.", "sled/conf", "witness", "/vectors/", "/words/"] {
        let spoilt_by = |corrupt: &mut dyn FnMut(&Path)| {
            corrupted_copy(&intact, |data| {
                files_of(data, part).iter().for_each(|path| corrupt(path));
            })
        };
        let flipped = spoilt_by(&mut |path| flip(path, &mut random));
        assert_everything_is_served(&flipped, &format!("a bit of {part}"));
        let cut = spoilt_by(&mut |path| {
            let bytes = fs::read(path).unwrap();
            fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
        });
        assert_everything_is_served(&cut, &format!("half of {part}"));
        let gone = spoilt_by(&mut |path| fs::remove_file(path).unwrap());
        assert_everything_is_served(&gone, &format!("{part} gone"));
    }
}

#[test]
fn a_flipped_bit_of_the_log_is_always_reported() {
    let mut random = random();
    let intact = filled();
    for attempt in 0..8 {
        let folder = corrupted_copy(&intact, |data| flip(&data.join("sled/db"), &mut random));
        let what = format!("attempt {attempt}");
        match start(&folder) {
            // The bit was in a page that is no longer used, or in one whose reads report it, or it
            // reverted the collection to an earlier state.
            Started::Serving(server) => {
                let client = server.client();
                let (_, damaged) = intact_and_corrupt(client, &what);
                let unreadable = (0..DOCUMENTS).filter(|number| {
                    let id = document(*number)["id"].clone();
                    let answer = client.existing("book").document(id.as_str().unwrap());
                    answer.status == 500 && answer.json()["code"] == "document_damaged"
                });
                let unreadable = unreadable.count();
                if unreadable > 0 {
                    let checked = client.existing("book").check();
                    assert_eq!(checked["agrees"], false, "{what}: {checked}");
                    let named = checked["damaged"]["documents"].as_u64().unwrap();
                    assert!(
                        named >= unreadable as u64,
                        "{what}: {unreadable}: {checked}"
                    );
                }
                let stopped = server.kill();
                let checked = stopped.check(&[]);
                let due = i32::from(damaged > 0);
                assert!(
                    checked.code == Some(due) || checked.code == Some(1),
                    "{what}: {damaged} damaged: {}",
                    checked.stdout
                );
                if damaged > 0 {
                    repaired(&folder, &what);
                }
            }
            Started::Refused(finished) => {
                assert_eq!(finished.code, Some(1), "{what}: {}", finished.stderr);
                let reported = ["lost acknowledged writes", "damaged"]
                    .iter()
                    .any(|word| finished.stderr.contains(word));
                assert!(reported, "{what}: {}", finished.stderr);
                repaired(&folder, &what);
            }
        }
    }
}

/// After a repair the server serves the remaining documents and reports no corruption.
fn repaired(folder: &Arc<TempDir>, what: &str) {
    let check = |more: &[&str]| {
        let data = folder.path().join("data");
        let setup = Setup::new()
            .switch("check")
            .flag("--data", data.to_str().unwrap());
        more.iter()
            .fold(setup, |setup, more| setup.switch(more))
            .run()
    };
    let first = check(&[]);
    assert_eq!(
        first.code,
        Some(1),
        "{what}: {}{}",
        first.stdout,
        first.stderr
    );
    let repair = check(&["--repair"]);
    assert!(
        repair.stdout.contains("damaged"),
        "{what}: {}",
        repair.stdout
    );
    let after = check(&[]);
    assert_eq!(
        after.code,
        Some(0),
        "{what}: {}{}{}",
        repair.stdout,
        after.stdout,
        after.stderr
    );
    let Started::Serving(server) = start(folder) else {
        panic!("{what}: it was repaired and does not start")
    };
    for summary in server.client().get("/collections").expect(200).json()["collections"]
        .as_array()
        .unwrap()
    {
        let name = summary["name"].as_str().unwrap();
        let checked = server.client().existing(name).check();
        assert_eq!(checked["agrees"], true, "{what}: {checked}");
    }
}

#[test]
fn a_lost_or_truncated_log_is_reported_and_not_served() {
    let intact = filled();
    let gone = corrupted_copy(&intact, |data| {
        fs::remove_file(data.join("sled/db")).unwrap();
    });
    let Started::Refused(finished) = start(&gone) else {
        panic!("an empty database was served in the place of the lost one")
    };
    assert!(
        finished.stderr.contains("lost acknowledged writes"),
        "{}",
        finished.stderr
    );
    let cut = corrupted_copy(&intact, |data| {
        let log = data.join("sled/db");
        let bytes = fs::read(&log).unwrap();
        let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
        fs::write(&log, &bytes[..used / 2]).unwrap();
    });
    match start(&cut) {
        Started::Serving(server) => {
            let (_, damaged) = intact_and_corrupt(server.client(), "a cut log");
            assert!(damaged > 0);
        }
        Started::Refused(finished) => assert!(
            finished.stderr.contains("damaged") || finished.stderr.contains("lost"),
            "{}",
            finished.stderr
        ),
    }
}

#[test]
fn a_corrupt_image_is_reported_by_name_and_repaired_by_an_upload() {
    let mut random = random();
    let intact = filled();
    type Spoil<'a> = Box<dyn FnMut(&Path) + 'a>;
    let spoils: [(&str, Spoil<'_>); 3] = [
        ("a bit", Box::new(|path| flip(path, &mut random))),
        ("a cut", Box::new(|path| fs::write(path, "cut").unwrap())),
        ("gone", Box::new(|path| fs::remove_file(path).unwrap())),
    ];
    for (what, mut corrupt) in spoils {
        let folder = corrupted_copy(&intact, |data| corrupt(&files_of(data, "images/")[0]));
        let check = Setup::new().switch("check").switch("--json");
        let check = check.flag("--data", folder.path().join("data").to_str().unwrap());
        let checked = check.run();
        assert_eq!(checked.code, Some(1), "{what}: {}", checked.stdout);
        let checked: Value = serde_json::from_str(&checked.stdout).unwrap();
        let findings = checked["findings"].as_array().unwrap();
        assert_eq!(findings.len(), 1, "{what}: {checked:#}");
        let named = findings[0]["what"].as_str().unwrap();
        let id = named.rsplit(' ').next().unwrap().to_owned();
        assert!(named.contains("images/") && id.starts_with('d'), "{named}");

        let Started::Serving(server) = start(&folder) else {
            panic!("{what}: a picture kept the server from starting")
        };
        assert_eq!(intact_and_corrupt(server.client(), what).1, 1, "{what}");
        let number: usize = id[1..].parse().unwrap();
        let collection = server.client().existing("book");
        collection.image(&id).expect_problem(500, "image_damaged");
        collection.add(&document(number));
        assert_eq!(intact_and_corrupt(server.client(), what).1, 0, "{what}");
        assert_eq!(server.stop().check(&[]).code, Some(0), "{what}");
    }
}

#[test]
fn check_refuses_a_folder_in_use() {
    let server = Server::start();
    let check = Setup::new().switch("check");
    let finished = check.flag("--data", server.data().to_str().unwrap()).run();
    assert_eq!(finished.code, Some(2), "{}", finished.stdout);
    assert!(finished.stderr.contains("in use"), "{}", finished.stderr);
    let nothing = Setup::new()
        .switch("check")
        .flag("--data", "/nowhere")
        .run();
    assert_eq!(nothing.code, Some(2));
    assert!(nothing.stderr.contains("/nowhere"), "{}", nothing.stderr);
}

#[test]
fn a_full_disk_refuses_writes_until_there_is_space_and_serves_reads() {
    let Some(disk) = SmallDisk::new(160) else {
        return;
    };
    let filler = disk.data().join("filler");
    fs::write(&filler, vec![1; 108 << 20]).unwrap();
    let setup = Setup::new().flag("--disk-reserve-mib", "24");
    let server = setup.start_in(disk.folder());
    let collection = server.client().collection("full");
    let path = collection.path("/documents");
    let big = |number: usize| {
        let note: String = (0..60_000)
            .map(|n| char::from(b'a' + ((n * n + number) % 26) as u8))
            .collect();
        json!({ "id": format!("f{number}"), "text": format!("page {number}"), "metadata": { "note": note } })
    };
    let mut stored = 0;
    let refused = loop {
        let answer = server.client().post(&path, &big(stored));
        if answer.status != 200 {
            break answer;
        }
        stored += 1;
        assert!(stored < 5_000, "the disk never got full");
    };
    let problem = refused.expect_problem(507, "disk_full");
    assert!(
        problem["detail"].as_str().unwrap().contains("bytes left"),
        "{problem}"
    );
    assert!(stored > 10, "{stored}");

    // Reads and deletions still work.
    collection.document("f3").expect(200);
    assert_eq!(
        collection.ids(&json!({ "keywords": "7", "mode": "keyword" })),
        ["f7"]
    );
    server
        .client()
        .delete(&collection.document_path("f0"))
        .expect(204);
    // The deletion, and merges of segments, may have freed space.
    let rest = disk.data().join("rest");
    fs::write(&rest, vec![1; 20 << 20]).unwrap();
    server
        .client()
        .put("/collections/more", &json!({}))
        .expect_problem(507, "disk_full");

    fs::remove_file(&filler).unwrap();
    fs::remove_file(&rest).unwrap();
    collection.add(&big(stored));
    let server = server.kill().start();
    let collection = server.client().existing("full");
    assert_eq!(collection.summary()["documents"], stored);
    for number in 1..=stored {
        let found = collection
            .document(&format!("f{number}"))
            .expect(200)
            .json();
        assert_eq!(found["metadata"], big(number)["metadata"], "f{number}");
    }
    assert_eq!(collection.check()["agrees"], true);
}

#[test]
fn a_read_only_folder_is_refused_with_a_sentence() {
    let Some(disk) = SmallDisk::new(16) else {
        return;
    };
    let data = disk.data();
    let remounted = Command::new("mount")
        .args(["-o", "remount,ro"])
        .arg(&data)
        .status();
    assert!(remounted.unwrap().success());
    let finished = Setup::new().refused_on(&data);
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    assert!(
        finished.stderr.contains("Read-only file system") && finished.stderr.contains("data"),
        "{}",
        finished.stderr
    );
}
