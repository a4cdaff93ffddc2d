//! `clipdb ingest` on folders: names of any bytes, entries that are not files, folders of the same
//! name, Ctrl-C; and ids in a pipe.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clipdb_tests::{
    Finished, Server, Setup, SharedServer, binary, pictures, report_skip, wait_until,
};
use rustix::process::{Pid, Signal, kill_process};

static SERVER: SharedServer = SharedServer::new(Server::start);

fn clipdb(arguments: &[&str]) -> Finished {
    let setup = arguments
        .iter()
        .fold(Setup::new(), |setup, argument| setup.switch(argument));
    setup
        .variable("CLIPDB_SERVER", SERVER.client().base())
        .run()
}

fn ingest(collection: &str, paths: &[&Path]) -> Finished {
    let paths = paths.iter().map(|path| path.to_str().unwrap());
    let arguments: Vec<&str> = ["ingest", "--collection", collection]
        .into_iter()
        .chain(paths)
        .collect();
    clipdb(&arguments)
}

/// All ids, sorted by their bytes.
fn ids(collection: &str) -> Vec<String> {
    let listed = SERVER.client().existing(collection).list(1000);
    let ids = listed
        .iter()
        .map(|document| document["id"].as_str().unwrap().to_owned());
    ids.collect()
}

#[test]
fn unusual_entries_of_a_folder_do_not_block_the_rest() {
    let top = tempfile::tempdir().unwrap();
    let folder = top.path().canonicalize().unwrap().join("照片".repeat(10));
    fs::create_dir(&folder).unwrap();
    let picture = pictures::png(7);
    let good = [
        "0.png",
        "m.png",
        "z.png",
        "-r.png",
        "--help.png",
        "two  blanks.png",
        "sub/a.png",
    ];
    fs::create_dir(folder.join("sub")).unwrap();
    for name in good {
        fs::write(folder.join(name), &picture).unwrap();
    }
    let bad: [&[u8]; 6] = [
        "长".repeat(80).as_bytes().to_vec().leak(),
        b"a\tb",
        b"a\nb",
        b"a\x1b[31mb",
        b"latin-\xe9",
        b"a\x7f",
    ];
    for name in bad {
        let name = [name, b".png"].concat();
        fs::write(folder.join(OsStr::from_bytes(&name)), &picture).unwrap();
    }
    fs::write(folder.join("empty.png"), "").unwrap();
    fs::write(folder.join("cut.jpg"), pictures::truncated_jpeg()).unwrap();
    symlink("loop.png", folder.join("loop.png")).unwrap();
    symlink("nothing", folder.join("gone.png")).unwrap();
    symlink(&folder, folder.join("sub/circle")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(top.path().join("s")).unwrap();
    fs::rename(top.path().join("s"), folder.join("socket.png")).unwrap();
    let pipe = Command::new("mkfifo").arg(folder.join("pipe.png")).status();
    assert!(pipe.unwrap().success());

    let started = Instant::now();
    let finished = ingest("whatever", &[&folder]);
    assert_eq!(finished.code, Some(1), "{}", finished.stdout);
    assert!(started.elapsed() < Duration::from_secs(60), "it hung");
    let mut expected: Vec<String> = good
        .iter()
        .map(|name| folder.join(name).to_str().unwrap().to_owned())
        .collect();
    expected.sort();
    assert_eq!(ids("whatever"), expected);
    let failed: Vec<&str> = finished
        .stderr
        .lines()
        .filter(|line| line.starts_with("failed: "))
        .collect();
    assert_eq!(failed.len(), bad.len() + 6, "{failed:#?}");
    assert!(
        !finished.stderr.contains(['\t', '\x1b']),
        "{}",
        finished.stderr
    );
    assert!(
        finished.stdout.contains("7 documents") && finished.stdout.contains("12 failed"),
        "{}",
        finished.stdout
    );
}

#[test]
fn only_an_unreadable_folder_fails() {
    let top = tempfile::tempdir().unwrap();
    for name in ["a/1.png", "locked/2.png", "z/3.png"] {
        let path = top.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, pictures::png(3)).unwrap();
    }
    let locked = top.path().join("locked");
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o0)).unwrap();
    let is_locked = fs::read_dir(&locked).is_err();
    let finished = ingest("locked", &[top.path()]);
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o700)).unwrap();
    if !is_locked {
        report_skip("this user may read every folder");
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        return;
    }
    assert_eq!(finished.code, Some(1), "{}", finished.stdout);
    assert!(
        finished.stderr.contains("locked: cannot be read"),
        "{}",
        finished.stderr
    );
    assert_eq!(ids("locked").len(), 2);
}

#[test]
fn folders_of_the_same_name_get_different_ids_and_a_file_keeps_its_id() {
    let top = tempfile::tempdir().unwrap();
    let folders = ["a/photos", "b/photos"].map(|folder| top.path().join(folder));
    for (seed, folder) in folders.iter().enumerate() {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("1.png"), pictures::png(seed as u64)).unwrap();
        fs::write(folder.join("words.txt"), format!("line of {seed}\n")).unwrap();
    }
    let [first, second] = &folders;
    assert_eq!(ingest("twins", &[first, second]).code, Some(0));
    let all = ids("twins");
    assert_eq!(all.len(), 4, "{all:?}");
    let one = first.join("1.png");
    for again in [&[first.as_path()][..], &[second], &[top.path()], &[&one]] {
        let finished = ingest("twins", again);
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        assert!(finished.stdout.contains("0 created"), "{}", finished.stdout);
    }
    assert_eq!(ids("twins"), all);
    for (seed, folder) in folders.iter().enumerate() {
        let id = folder.join("1.png").canonicalize().unwrap();
        let image = SERVER
            .client()
            .existing("twins")
            .image(id.to_str().unwrap());
        assert_eq!(image.expect(200).body, pictures::png(seed as u64));
    }

    // Ids that do not depend on the path.
    for folder in &folders {
        let path = folder.to_str().unwrap();
        let prefixed = [
            "ingest",
            path,
            "--id-prefix",
            "mine",
            "--collection",
            "placeless",
        ];
        assert_eq!(clipdb(&prefixed).code, Some(0));
        assert_eq!(ids("placeless"), ["mine/1.png", "mine/words.txt:1"]);
    }
    let two = [
        "ingest",
        first.to_str().unwrap(),
        second.to_str().unwrap(),
        "--id-prefix",
        "x",
    ];
    let refused = clipdb(&two);
    assert_eq!(refused.code, Some(1), "{}", refused.stdout);
    assert!(refused.stderr.contains("--id-prefix"), "{}", refused.stderr);
}

#[test]
fn a_refused_record_stores_no_image() {
    let top = tempfile::tempdir().unwrap();
    fs::write(top.path().join("red.png"), pictures::png(1)).unwrap();
    let long = "x".repeat(300);
    let records = [
        r#"{"id": "good", "image": {"file": "red.png"}}"#.to_owned(),
        format!(r#"{{"id": "{long}", "image": {{"file": "red.png"}}}}"#),
        r#"{"id": "a\tb", "image": {"file": "red.png"}}"#.to_owned(),
        r#"{"id": 7, "image": {"file": "red.png"}}"#.to_owned(),
        r#"{"id": "pipe", "image": {"file": "pipe.png"}}"#.to_owned(),
        r#"{"id": "metadata", "image": {"file": "red.png"}, "metadata": [1]}"#.to_owned(),
        r#"{"id": "last", "text": "words"}"#.to_owned(),
    ];
    let pipe = Command::new("mkfifo")
        .arg(top.path().join("pipe.png"))
        .status();
    assert!(pipe.unwrap().success());
    let path = top.path().join("all.ndjson");
    fs::write(&path, records.join("\n")).unwrap();
    let finished = ingest("records", &[&path]);
    assert_eq!(finished.code, Some(1), "{}", finished.stdout);
    assert_eq!(ids("records"), ["good", "last"], "{}", finished.stderr);
}

#[test]
fn ids_are_not_truncated_in_a_pipe() {
    let top = tempfile::tempdir().unwrap();
    let name = format!("{}  of the sea.txt", "a very long name ".repeat(8));
    let path = top.path().canonicalize().unwrap().join(name);
    fs::write(&path, "a red kite over the harbour, and ".repeat(9)).unwrap();
    assert_eq!(ingest("piped", &[&path]).code, Some(0));
    let finished = clipdb(&["search", "kite", "--collection", "piped"]);
    let id = format!("{}:1", path.to_str().unwrap());
    assert!(finished.stdout.contains(&id), "{}", finished.stdout);
    assert!(!finished.stdout.contains('…'), "{}", finished.stdout);
}

#[test]
fn ctrl_c_reports_the_progress_and_how_to_continue() {
    let top = tempfile::tempdir().unwrap();
    for number in 0..600 {
        let path = top.path().join(format!("{number:03}.png"));
        fs::write(path, pictures::png(number)).unwrap();
    }
    let child = Command::new(binary())
        .args(["ingest", "--collection", "stopped", "--in-flight", "1"])
        .arg(top.path())
        .env("CLIPDB_SERVER", SERVER.client().base())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stored = || {
        let answer = SERVER.client().get("/collections/stopped");
        answer.status == 200 && answer.json()["documents"].as_u64() > Some(0)
    };
    assert!(wait_until(stored));
    let pid = Pid::from_raw(child.id().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(130), "{stdout}");
    let there = SERVER.client().existing("stopped").summary()["documents"].clone();
    assert!(
        stdout.contains(&format!("{there} created")),
        "{there}: {stdout}"
    );
    assert!(there.as_u64() < Some(600), "{there}");
    assert!(
        stdout.contains("--skip-existing") && stdout.contains("not done"),
        "{stdout}"
    );

    let path = top.path().to_str().unwrap();
    let rest = clipdb(&["ingest", path, "--collection", "stopped", "--skip-existing"]);
    assert_eq!(rest.code, Some(0), "{}", rest.stderr);
    assert!(
        rest.stdout.contains(&format!("{there} already existed")),
        "{}",
        rest.stdout
    );
    assert_eq!(ids("stopped").len(), 600);
}
