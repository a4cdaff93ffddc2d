//! What a person meets who starts the server: the banner, settings and where they
//! come from, and starts that are refused with one sentence.
#![allow(clippy::unwrap_used, reason = "a test")]

use clipdb_tests::{Finished, Server, Setup};

/// The one line that tells why there was no start.
fn sentence(finished: &Finished) -> &str {
    let lines: Vec<&str> = finished
        .stderr
        .lines()
        .filter(|line| line.starts_with("clipdb: "))
        .collect();
    assert_eq!(lines.len(), 1, "one sentence: {}", finished.stderr);
    lines[0]
}

#[test]
fn the_banner_tells_address_model_device_and_three_things_to_try() {
    let server = Server::start();
    let banner = server.banner();
    assert!(banner.contains(server.client().base()), "{banner}");
    for word in ["is ready", "model", "clipdb-mini", "device", "cpu", "data"] {
        assert!(banner.to_lowercase().contains(word), "'{word}': {banner}");
    }
    let tries = banner.split_once("Try:").unwrap().1;
    let tries: Vec<&str> = tries
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    assert_eq!(tries.len(), 3, "{banner}");
    assert!(
        tries
            .iter()
            .any(|line| line.contains("curl") && line.contains("/search")),
        "{banner}"
    );

    let second = Setup::new().refused_on(&server.data());
    assert_eq!(second.code, Some(1), "{}", second.stderr);
    let said = sentence(&second);
    assert!(said.contains(server.data().to_str().unwrap()), "{said}");
    assert_eq!(
        server.client().get("/ready").status,
        200,
        "the first goes on"
    );
}

#[test]
fn a_model_that_is_nowhere_is_one_sentence_and_exit_code_2() {
    let cache = tempfile::tempdir().unwrap();
    let finished = Setup::new()
        .flag("--model", "openai/clip-vit-base-patch32")
        .flag("--model-cache", cache.path().to_str().unwrap())
        .variable("CLIPDB_CACHE", cache.path().to_str().unwrap())
        // Nothing listens there: this machine's hub can't be reached.
        .variable("CLIPDB_HUB", "http://127.0.0.1:9")
        .refused();
    assert_eq!(finished.code, Some(2), "{}", finished.stderr);
    let said = sentence(&finished);
    assert!(said.contains("openai/clip-vit-base-patch32"), "{said}");
    assert!(
        said.contains("clipdb models pull") || said.contains("clipdb-mini"),
        "what to do: {said}"
    );
}

#[test]
fn a_name_that_is_no_model_is_told_with_those_there_are() {
    let finished = Setup::new().flag("--model", "clipdb-maxi").refused();
    assert_eq!(finished.code, Some(2), "{}", finished.stderr);
    let said = sentence(&finished);
    assert!(
        said.contains("clipdb-maxi") && said.contains("clipdb-mini"),
        "{said}"
    );
}

#[test]
fn an_address_that_others_reach_needs_a_key_or_a_word() {
    let finished = Setup::new().flag("--listen", "0.0.0.0:0").refused();
    assert_eq!(finished.code, Some(2), "{}", finished.stderr);
    let said = sentence(&finished);
    assert!(
        said.contains("--api-key") && said.contains("--no-auth"),
        "{said}"
    );
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clipdb.toml");
    std::fs::write(&file, "listen = 'of-the-file'\n").unwrap();
    let with_file = || Setup::new().variable("CLIPDB_CONFIG", file.to_str().unwrap());
    let with_variable = || with_file().variable("CLIPDB_LISTEN", "of-the-environment");
    for (setup, winner) in [
        (with_file(), "of-the-file"),
        (with_variable(), "of-the-environment"),
        (
            with_variable().flag("--listen", "of-the-flag"),
            "of-the-flag",
        ),
    ] {
        let finished = setup.refused();
        assert_eq!(finished.code, Some(2), "{}", finished.stderr);
        let said = sentence(&finished);
        assert!(said.contains("'listen'") && said.contains(winner), "{said}");
    }
}

#[test]
fn the_server_sets_what_its_libraries_read_and_nobody_has_set() {
    let server = Setup::new().variable("OMP_WAIT_POLICY", "active").start();
    let environ = std::fs::read(format!("/proc/{}/environ", server.pid())).unwrap();
    let environ = String::from_utf8(environ).unwrap();
    let set: Vec<&str> = environ.split('\0').collect();
    for wanted in [
        "OMP_WAIT_POLICY=active",
        "THP_MEM_ALLOC_ENABLE=1",
        "NVIDIA_TF32_OVERRIDE=0",
        "TORCH_CUDNN_SDPA_DEPRIORITIZED=1",
    ] {
        assert!(set.contains(&wanted), "{wanted}");
    }
}

#[test]
fn a_wrong_setting_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clipdb.toml");
    for (text, key) in [
        ("divice = 'cpu'", "divice"),
        ("device = 'gpu'", "device"),
        ("threads = 0", "threads"),
        ("api_key = 'short'", "api_key"),
        ("max_body_bytes = 'much'", "max_body_bytes"),
    ] {
        std::fs::write(&file, text).unwrap();
        let finished = Setup::new()
            .flag("--config", file.to_str().unwrap())
            .refused();
        assert_eq!(finished.code, Some(2), "{text}: {}", finished.stderr);
        assert!(finished.stderr.contains(key), "{text}: {}", finished.stderr);
    }
    let finished = Setup::new()
        .flag("--config", "/nowhere/clipdb.toml")
        .refused();
    assert_eq!(finished.code, Some(2));
    assert!(sentence(&finished).contains("/nowhere/clipdb.toml"));
    let finished = Setup::new().switch("--data-dir").refused();
    assert_eq!(finished.code, Some(2));
    assert!(
        finished.stderr.contains("--data-dir"),
        "{}",
        finished.stderr
    );
}

#[test]
fn help_names_every_command() {
    let finished = Setup::new().switch("--help").run();
    assert_eq!(finished.code, Some(0));
    for command in ["serve", "ingest", "search", "profile", "models"] {
        assert!(
            finished.stdout.contains(command),
            "'{command}': {}",
            finished.stdout
        );
    }
}

#[test]
fn a_key_is_never_printed() {
    let key = "a-key-that-nobody-sees";
    let server = Setup::new().key(key).start();
    server.client().get("/collections").expect(200);
    assert!(!server.banner().contains(key));
    assert!(!server.log().contains(key));
}
