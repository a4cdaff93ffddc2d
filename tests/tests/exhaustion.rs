//! Exhausted resources: files, threads, address space, disk. Requests are refused while a resource
//! is exhausted, and succeed again afterwards without a restart.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clipdb_tests::{Client, Server, Setup, SmallDisk, pictures, report_skip, wait_until};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};

/// Raises the limit of open files of this process. Returns `false`, with a report of the skip, if
/// it may not.
fn raise_own_files(wanted: u64) -> bool {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= wanted) {
        return true;
    }
    let raised = Rlimit {
        current: Some(wanted),
        maximum,
    };
    let done = setrlimit(Resource::Nofile, raised).is_ok();
    if !done {
        report_skip(&format!("this user may not open {wanted} files"));
    }
    done
}

fn connections(address: &str, number: usize, request: &[u8]) -> Vec<TcpStream> {
    let connect = |_| {
        let mut stream = TcpStream::connect(address).ok()?;
        // A connection that the server has closed counts too.
        let _ = stream.write_all(request);
        Some(stream)
    };
    (0..number).filter_map(connect).collect()
}

/// Writes and searches, each pair on a new connection like another client. Returns the slowest
/// time.
fn assert_works_for_others(server: &Server, round: &str) -> Duration {
    let mut slowest = Duration::ZERO;
    for number in 0..8 {
        let started = Instant::now();
        let client = Client::of(server);
        let id = format!("{round}-{number}");
        let collection = client.existing("others");
        collection.add(&json!({ "id": id, "text": format!("other words {number}") }));
        let found = collection
            .ids(&json!({ "keywords": number.to_string(), "mode": "keyword", "limit": 1000 }));
        assert!(found.contains(&id), "{round}: {found:?}");
        slowest = slowest.max(started.elapsed());
    }
    slowest
}

#[test]
fn idle_connections_leave_files_for_the_database_and_other_clients() {
    if !raise_own_files(8192) {
        return;
    }
    for limits in ["ulimit -n 1024", "ulimit -Sn 1024"] {
        let server = Setup::new().limits(limits).start();
        server.client().collection("others");
        let address = server.client().address().to_owned();
        let idle = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let half = b"POST /collections/others/documents HTTP/1.1\r\n";
        let mut open = Vec::new();
        for (round, request) in [("silent", &b""[..]), ("idle", idle), ("half", half)] {
            open.extend(connections(&address, 1100, request));
            let slowest = assert_works_for_others(&server, round);
            println!("{limits}: {round}: the slowest of eight took {slowest:?}");
            assert!(
                slowest < Duration::from_secs(5),
                "{limits}, {round}: {slowest:?}"
            );
        }
        drop(open);
        assert_works_for_others(&server, "after");
        let health = server.client().get("/health").expect(200).json();
        assert_eq!(
            (&health["status"], &health["storage"]),
            (&json!("ok"), &json!("ok"))
        );
        assert!(
            !server.log().contains("storage takes no"),
            "{}",
            server.log()
        );
        let server = server.kill().start();
        assert_eq!(
            server.client().existing("others").summary()["documents"],
            32
        );
    }
}

#[test]
fn the_soft_limit_of_open_files_is_raised() {
    let server = Setup::new().limits("ulimit -Sn 100").start();
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.pid())).unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let words: Vec<&str> = line.unwrap().split_whitespace().collect();
    assert_eq!(words[3], words[4], "{words:?}");
}

#[test]
fn too_low_a_limit_is_reported_in_one_sentence() {
    let binary = clipdb_tests::binary();
    let others_may_run = binary
        .ancestors()
        .all(|path| fs::metadata(path).is_ok_and(|about| about.permissions().mode() & 1 != 0));
    let unprivileged = "exec prlimit --nproc=20:20 setpriv --reuid 65534 --regid 65534 --clear-groups \"$0\" \"$@\"";
    for (limits, word) in [
        ("ulimit -n 20", "files"),
        ("ulimit -n 100", "files"),
        ("ulimit -v 3000000", "address space"),
        (unprivileged, "threads"),
    ] {
        if limits == unprivileged && !(rustix::process::geteuid().is_root() && others_may_run) {
            report_skip("only root can become another user, to test the limit of threads");
            continue;
        }
        let started = Instant::now();
        let finished = Setup::new().limits(limits).refused();
        let output = &finished.stderr;
        if limits == unprivileged && finished.code == Some(127) {
            report_skip("another user may not read the libraries, to test the limit of threads");
            continue;
        }
        assert_eq!(finished.code, Some(2), "{limits}: {output}");
        assert!(started.elapsed() < Duration::from_secs(10), "{limits}");
        assert!(
            output.contains(word) && output.contains("ulimit"),
            "{limits}: {output}"
        );
        assert_eq!(output.lines().count(), 1, "{limits}: {output}");
    }
}

#[test]
fn only_the_owner_can_read_a_data_folder() {
    let server = Server::start();
    let collection = server.client().collection("private");
    collection
        .add(&json!([{ "id": "a", "text": "words" }, pictures::document("b", &pictures::png(1))]));
    let path = "/collections/private/snapshots";
    server.client().post(path, &json!({})).expect(201);
    let open = |data: &Path| {
        let mut paths = clipdb_tests::folder::files(data);
        let folders: Vec<_> = paths
            .iter()
            .flat_map(|path| path.ancestors())
            .map(Path::to_owned)
            .collect();
        paths.extend(folders.into_iter().filter(|path| path.starts_with(data)));
        let of_others = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o077 != 0;
        paths.retain(|path| of_others(path));
        paths
    };
    let stopped = server.stop();
    assert_eq!(open(&stopped.data()), Vec::<std::path::PathBuf>::new());

    // A folder of an older build.
    for path in [stopped.data(), stopped.data().join("sled")] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let server = stopped.start();
    assert_eq!(open(&server.data()), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_server_started_on_a_full_disk_serves_reads_and_refuses_writes() {
    let Some(disk) = SmallDisk::new(160) else {
        return;
    };
    let setup = Setup::new().flag("--disk-reserve-mib", "8");
    let server = setup.start_in(disk.folder());
    let collection = server.client().collection("full");
    let document = |n: usize| json!({ "id": format!("d{n}"), "text": format!("page {n}") });
    for first in (0..60).step_by(20) {
        collection.add(&json!(
            (first..first + 20).map(document).collect::<Vec<_>>()
        ));
    }
    collection.add(&pictures::document("pictured", &pictures::png(4)));
    disk.fill("filler", 0);
    assert!(disk.free() < 4096, "{}", disk.free());
    let mut server = server.kill().start();
    for again in 0..2 {
        let client = server.client().clone();
        let collection = client.existing("full");
        client.get("/ready").expect(200);
        assert_eq!(
            collection.document("d7").expect(200).json()["text"],
            "page 7"
        );
        assert_eq!(
            collection.image("pictured").expect(200).body,
            pictures::png(4)
        );
        let found = collection.ids(&json!({ "keywords": "41", "mode": "keyword" }));
        assert_eq!(found, ["d41"]);
        client
            .post(&collection.path("/documents"), &document(99))
            .expect_problem(507, "disk_full");
        if again == 0 {
            // Use up the space that startup left, too.
            disk.fill("more", 0);
            collection.document("d8").expect(200);
        }
        if again == 0 {
            fs::remove_file(disk.data().join("more")).unwrap();
            server = server.kill().start();
        }
    }
    fs::remove_file(disk.data().join("filler")).unwrap();
    let collection = server.client().existing("full");
    collection.add(&document(99));
    assert_eq!(collection.check()["agrees"], true);
    let ballast = disk.data().join("ballast");
    assert!(
        wait_until(|| ballast.exists()),
        "nothing is kept for the next start"
    );
}

#[test]
fn writes_resume_without_a_restart_after_a_full_disk() {
    let Some(disk) = SmallDisk::new(128) else {
        return;
    };
    let setup = Setup::new().flag("--disk-reserve-mib", "1");
    let server = setup.start_in(disk.folder());
    let client = server.client();
    for name in ["one", "two", "three"] {
        client.collection(name);
    }
    let over = AtomicBool::new(false);
    let refused = AtomicUsize::new(0);
    let mut acknowledged: Vec<(String, String)> = Vec::new();
    thread::scope(|scope| {
        let writers: Vec<_> = ["one", "two", "three"]
            .into_iter()
            .map(|name| {
                let (over, refused) = (&over, &refused);
                scope.spawn(move || {
                    let mut stored = Vec::new();
                    for number in 0.. {
                        if over.load(Ordering::Relaxed) {
                            break;
                        }
                        let id = format!("{name}-{number}");
                        let note = "n".repeat(40_000);
                        let document =
                            json!({ "id": id, "text": id, "metadata": { "note": note } });
                        let answer =
                            client.post(&format!("/collections/{name}/documents"), &document);
                        if answer.status == 200 && answer.json()["created"] == 1 {
                            stored.push((name.to_owned(), id.clone()));
                        } else {
                            refused.fetch_add(1, Ordering::Relaxed);
                        }
                        // So that documents alone never fill the disk.
                        let gone = format!("/collections/{name}/documents/{name}-{}", number / 2);
                        if number % 2 == 1 {
                            // Whether refused or not: a failed deletion may have been done.
                            client.delete(&gone);
                            stored.retain(|(_, id)| !gone.ends_with(&format!("/{id}")));
                        }
                    }
                    stored
                })
            })
            .collect();
        for round in 0..25 {
            disk.fill("filler", 0);
            thread::sleep(Duration::from_millis(20 * (round % 4)));
            // A read succeeds or reports why not.
            let read = client.get("/collections/one/documents/one-0").status;
            assert!([200, 404, 503].contains(&read), "{read}");
            fs::remove_file(disk.data().join("filler")).unwrap();
            thread::sleep(Duration::from_millis(150));
        }
        over.store(true, Ordering::Relaxed);
        for writer in writers {
            acknowledged.extend(writer.join().unwrap());
        }
    });
    let stops = server.log().matches("storage takes no more writes").count();
    let heals = server.log().matches("storage was opened again").count();
    println!(
        "{} acknowledged, {} refused, {stops} stops, {heals} heals",
        acknowledged.len(),
        refused.load(Ordering::Relaxed)
    );
    assert!(
        wait_until(|| client.get("/ready").status == 200),
        "{}",
        server.log()
    );
    let health = client.get("/health").expect(200).json();
    assert_eq!(health["storage"], "ok", "{health}");
    for name in ["one", "two", "three"] {
        let path = format!("/collections/{name}/documents");
        let answer = client.post(&path, &json!({ "id": "after", "text": "all is well" }));
        assert_eq!(answer.status, 200, "{name}: {}", server.log());
    }
    let verify = |client: &Client| {
        for (name, id) in &acknowledged {
            let found: Value = client.existing(name).document(id).expect(200).json();
            assert_eq!(found["text"], *id);
        }
        for name in ["one", "two", "three"] {
            assert_eq!(client.existing(name).check()["agrees"], true, "{name}");
        }
    };
    verify(client);
    let server = server.kill().start();
    verify(server.client());
}

#[test]
fn a_silent_grpc_connection_is_closed() {
    let server = Setup::new().grpc().start();
    let mut stream = TcpStream::connect(server.grpc()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let started = Instant::now();
    // The server sends its preface first, and then waits only as long as for a first byte.
    let _ = stream.read_to_end(&mut Vec::new());
    let waited = started.elapsed();
    assert!((3..20).contains(&waited.as_secs()), "{waited:?}");
}
