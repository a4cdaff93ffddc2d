//! A corrupt collection: every call on it reports the corruption and the remedy, nothing of it is
//! written or removed, and the other collections stay up.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clipdb_tests::folder::{copy, files};
use clipdb_tests::{Client, Server, Setup, Stopped, pictures, wait_until};
use reqwest::Method;
use serde_json::{Value, json};

/// The corrupt collection: the default one, of `/documents` and `/search`.
const BAD: &str = "default";

fn filled() -> Server {
    let server = Server::start();
    for name in [BAD, "good"] {
        let collection = server.client().collection(name);
        let texts = (0..20).map(|number| {
            json!({ "id": format!("d{number}"), "text": format!("page{number} of {name}") })
        });
        collection.add(&json!(texts.collect::<Vec<Value>>()));
        collection.add(&pictures::document("p", &pictures::png(3)));
    }
    server
}

/// Advances the record of durable sequences beyond the collection's own, as after a loss at the end
/// of sled's log.
fn lose_writes(stopped: &Stopped, collection: &str) {
    let number = number(&stopped.data(), collection);
    let path = stopped.data().join("witness");
    let mut bytes = fs::read(&path).unwrap();
    let record = &mut bytes[number * 32..][..32];
    record[16..24].copy_from_slice(&999u64.to_le_bytes());
    let checksum = crc32fast::hash(&record[..24]);
    record[24..28].copy_from_slice(&checksum.to_le_bytes());
    fs::write(&path, bytes).unwrap();
}

fn number(data: &Path, collection: &str) -> usize {
    let folders = fs::read_dir(data.join("index")).unwrap();
    let names = folders.map(|folder| folder.unwrap().file_name().into_string().unwrap());
    let mut numbers = names.filter_map(|name| {
        let number = name.strip_prefix(&format!("{collection}-"))?;
        number.parse().ok()
    });
    numbers.next().unwrap()
}

/// The bytes of all image and index files of a collection.
fn kept(data: &Path, collection: &str) -> BTreeMap<PathBuf, Vec<u8>> {
    let number = number(data, collection);
    let folders = [
        data.join(format!("images/{number}")),
        data.join(format!("index/{collection}-{number}")),
    ];
    let all = folders.iter().flat_map(|folder| files(folder));
    all.map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

fn listed(client: &Client, name: &str) -> Value {
    let listed = client.get("/collections").expect(200).json();
    let all = listed["collections"].as_array().unwrap();
    all.iter().find(|one| one["name"] == name).unwrap().clone()
}

fn assert_every_call_is_refused(client: &Client, reason: &str) {
    let at = |rest: &str| format!("/collections/{BAD}{rest}");
    let document = json!({ "text": "x" });
    let search = json!({ "text": "page" });
    let answers = [
        client.get(&at("")),
        client.put(&at(""), &json!({})),
        client.post(&at("/documents"), &document),
        client.post("/documents", &document),
        client.get(&at("/documents")),
        client.get(&at("/documents/d1")),
        client.put(&at("/documents/d1"), &document),
        client.patch(&at("/documents/d1"), &json!({ "metadata": { "a": 1 } })),
        client.delete(&at("/documents/d1")),
        client.delete(&at("/documents?filter=%7B%22a%22%3A1%7D")),
        client.get(&at("/documents/p/image")),
        client.post(&at("/search"), &search),
        client.post("/search", &search),
        client.get("/search?q=page"),
        client.get(&at("/check")),
        client.get(&at("/recall")),
        client.send(Method::POST, &at("/compact"), None, ""),
        client.send(Method::POST, &at("/snapshots"), None, ""),
    ];
    for answer in answers {
        let problem = answer.expect_problem(500, "collection_damaged");
        let detail = problem["detail"].as_str().unwrap();
        for part in [BAD, reason, "clipdb check --data", "--repair", "snapshot"] {
            assert!(detail.contains(part), "{detail}");
        }
    }
}

fn assert_the_other_is_served(client: &Client) {
    client.get("/ready").expect(200);
    let good = client.existing("good");
    assert_eq!(good.ids(&json!({ "keywords": "page7" })), ["d7"]);
    good.add(&json!({ "id": "d7", "text": "page7 once more" }));
    assert_eq!(good.check()["agrees"], true);
    assert_eq!(listed(client, "good")["status"], "open");
}

#[test]
fn only_the_corrupt_collection_is_offline_and_it_is_not_changed() {
    let stopped = filled().stop();
    lose_writes(&stopped, BAD);
    let before = kept(&stopped.data(), BAD);
    let reason = "acknowledged writes are lost: it is at group";
    let mut server = stopped.start();
    for _ in 0..2 {
        let client = server.client();
        assert_every_call_is_refused(client, reason);
        assert_the_other_is_served(client);
        let summary = listed(client, BAD);
        assert_eq!(summary["status"], "damaged");
        assert!(
            summary["reason"].as_str().unwrap().starts_with(reason),
            "{summary}"
        );
        let health = client.get("/health").expect(200).json();
        assert_eq!(health["status"], "degraded");
        assert_eq!(health["damaged_collections"], 1);
        let metrics = client.get("/metrics").expect(200).text();
        for line in [
            "clipdb_collections{status=\"open\"} 1",
            "clipdb_collections{status=\"damaged\"} 1",
        ] {
            assert!(metrics.lines().any(|found| found == line), "{line}");
        }
        let log = server.log();
        let line = log.lines().find(|line| line.contains("ERROR")).unwrap();
        assert!(line.contains(BAD) && line.contains(reason), "{line}");
        assert!(server.banner().contains("not served: default"));
        server = server.stop().start();
    }
    let stopped = server.kill();
    assert!(kept(&stopped.data(), BAD) == before);
    // The repair that the message names accepts the loss.
    assert_eq!(stopped.check(&[]).code, Some(1));
    stopped.check(&["--repair"]);
    assert_eq!(stopped.check(&[]).code, Some(0));
    let server = stopped.start();
    assert_eq!(server.client().existing(BAD).check()["agrees"], true);
    assert_eq!(
        server.client().get("/health").expect(200).json()["status"],
        "ok"
    );
}

#[test]
fn a_snapshot_replaces_the_corrupt_collection() {
    let server = filled();
    let path = format!("/collections/{BAD}/snapshots");
    let taken = server.client().send(Method::POST, &path, None, "");
    let id = taken.expect(201).json()["id"].clone();
    let stopped = server.stop();
    lose_writes(&stopped, BAD);
    let server = stopped.start();
    let client = server.client();
    let shelf = client.get(&path).expect(200).json();
    assert_eq!(shelf["snapshots"][0]["id"], id);
    let path = format!("/collections/{BAD}/restore");
    let restored = client.post(&path, &json!({ "snapshot": id, "collection": BAD }));
    assert_eq!(restored.expect(200).json()["documents"], 21);
    let collection = client.existing(BAD);
    assert_eq!(collection.check()["agrees"], true);
    assert_eq!(collection.image("p").expect(200).body, pictures::png(3));
    assert_the_other_is_served(client);
    let server = server.kill().start();
    assert_eq!(server.client().existing(BAD).list(500).len(), 21);
    let stopped = server.stop();
    assert_eq!(stopped.check(&[]).code, Some(0));
}

#[test]
fn the_corrupt_collection_can_be_dropped_and_created_again() {
    let stopped = filled().stop();
    lose_writes(&stopped, BAD);
    let server = stopped.start();
    let client = server.client();
    client.delete(&format!("/collections/{BAD}")).expect(204);
    client
        .get(&format!("/collections/{BAD}"))
        .expect_problem(404, "collection_not_found");
    let text = json!({ "text": "a new beginning" });
    client.post("/documents", &text).expect(200);
    assert_eq!(client.existing(BAD).summary()["documents"], 1);
    assert_the_other_is_served(client);
    let server = server.kill().start();
    assert_eq!(server.client().existing(BAD).summary()["documents"], 1);
    let stopped = server.stop();
    assert_eq!(stopped.check(&[]).code, Some(0));
}

/// A server on a folder in which a page of `BAD` cannot be read.
fn server_with_an_unreadable_page() -> Server {
    let server = filled();
    // More log after it: a flipped bit in the segment that sled wrote last truncates the log.
    let note: String = (0..60_000u32)
        .map(|n| char::from(b'a' + (n * n % 26) as u8))
        .collect();
    let long = (0..200).map(|number| {
        json!({ "id": format!("l{number}"), "text": "long", "metadata": { "note": note } })
    });
    let long = json!(long.collect::<Vec<Value>>());
    server.client().existing("good").add(&long);
    // Two startups: sled writes its page table when it opens, and reads the pages by it.
    let stopped = server.stop().start().stop();
    for number in 0..20 {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let data = folder.path().join("data");
        copy(&stopped.data(), &data);
        let log = data.join("sled/db");
        let mut bytes = fs::read(&log).unwrap();
        let word = format!("page{number} of {BAD}");
        let mut from = 0;
        while let Some(at) = bytes[from..]
            .windows(word.len())
            .position(|part| part == word.as_bytes())
        {
            bytes[from + at] ^= 1;
            from += at;
        }
        fs::write(&log, bytes).unwrap();
        fs::remove_dir_all(data.join("index")).unwrap();
        // Startup is refused if this was the end of the log after all; the data is intact if sled
        // uses another copy. The corruption is found during the rebuild of the index, before or
        // after the server is ready.
        let patience = if number % 2 == 0 { "0" } else { "60" };
        let setup = Setup::new().flag("--start-patience-seconds", patience);
        if let Ok(server) = setup.try_start_in(folder) {
            for name in [BAD, "good"] {
                let path = format!("/collections/{name}/search");
                let search = json!({ "keywords": "page" });
                let known = || server.client().post(&path, &search).status != 503;
                assert!(
                    wait_until(known),
                    "{name} is neither searchable nor damaged"
                );
            }
            if listed(server.client(), BAD)["status"] == "damaged" {
                return server;
            }
        }
    }
    panic!("no page could be damaged")
}

#[test]
fn an_unreadable_page_is_reported_and_a_repair_lists_the_losses() {
    let server = server_with_an_unreadable_page();
    let client = server.client();
    assert_every_call_is_refused(client, "checksum is wrong");
    assert_the_other_is_served(client);
    // Enough writes for sled to move pages of every collection: those that it can read.
    for round in 0..60 {
        let note = format!("{round} ").repeat(20_000);
        let long =
            json!({ "id": format!("l{round}"), "text": "long", "metadata": { "note": note } });
        client.existing("good").add(&long);
    }
    assert_the_other_is_served(client);
    let stopped = server.stop();
    assert_eq!(stopped.check(&[]).code, Some(1));
    let repaired = stopped.check(&["--repair"]);
    assert_eq!(repaired.code, Some(1), "{}", repaired.stdout);
    let after = stopped.check(&[]);
    let (before, now) = (&repaired.stdout, &after.stdout);
    assert_eq!(after.code, Some(0), "{before}then\n{now}");

    let server = stopped.start();
    let collection = server.client().existing(BAD);
    assert_eq!(collection.check()["agrees"], true);
    // The repair reported the lost ones by their ids or by their number.
    let left = collection.list(500).len();
    let named =
        |line: &&str| line.contains("the document") && line.contains("remaining values were saved");
    let named = before.lines().filter(named).count();
    let counted = format!("lost: collection {BAD}: {} documents", 21 - left - named);
    assert!(
        left < 21
            && (named == 21 - left || before.contains(&counted) || before.contains("how many")),
        "{left} of 21 are left: {before}"
    );
    // The image is served, or kept.
    let kept = files(&server.data().join("damaged"));
    let keeps = kept
        .iter()
        .any(|path| fs::read(path).unwrap() == pictures::png(3));
    assert!(keeps || collection.image("p").status == 200, "{kept:?}");
    assert_the_other_is_served(server.client());
}
