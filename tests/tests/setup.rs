//! Startup: the banner, the sources of settings, and refusals with one sentence each.
#![allow(clippy::unwrap_used, reason = "a test")]

use clipdb_tests::{Finished, Server, Setup};

/// The single line that reports why startup failed.
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
fn the_banner_shows_address_model_device_and_three_commands() {
    let server = Server::start();
    let banner = server.banner();
    assert!(banner.contains(server.client().base()), "{banner}");
    for word in [
        "is ready",
        "model",
        "clipdb-multilingual",
        "device",
        "cpu",
        "data",
    ] {
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
    let message = sentence(&second);
    assert!(
        message.contains(server.data().to_str().unwrap()),
        "{message}"
    );
    assert_eq!(
        server.client().get("/ready").status,
        200,
        "the first server still runs"
    );
}

#[test]
fn a_missing_model_is_one_sentence_and_exit_code_2() {
    let cache = tempfile::tempdir().unwrap();
    let finished = Setup::new()
        .flag("--model", "openai/clip-vit-base-patch32")
        .flag("--model-cache", cache.path().to_str().unwrap())
        .variable("CLIPDB_CACHE", cache.path().to_str().unwrap())
        // Nothing listens there, so the hub cannot be reached.
        .variable("CLIPDB_HUB", "http://127.0.0.1:9")
        .refused();
    assert_eq!(finished.code, Some(2), "{}", finished.stderr);
    let message = sentence(&finished);
    assert!(
        message.contains("openai/clip-vit-base-patch32"),
        "{message}"
    );
    assert!(
        message.contains("clipdb models pull") || message.contains("clipdb-multilingual"),
        "what to do: {message}"
    );
}

#[test]
fn an_unknown_model_name_is_refused_with_the_known_names() {
    let finished = Setup::new().flag("--model", "clipdb-maxi").refused();
    assert_eq!(finished.code, Some(2), "{}", finished.stderr);
    let message = sentence(&finished);
    assert!(
        message.contains("clipdb-maxi") && message.contains("clipdb-multilingual"),
        "{message}"
    );
}

#[test]
fn a_public_address_needs_a_key_or_a_flag() {
    let finished = Setup::new().flag("--listen", "0.0.0.0:0").refused();
    assert_eq!(finished.code, Some(2), "{}", finished.stderr);
    let message = sentence(&finished);
    assert!(
        message.contains("--api-key") && message.contains("--no-auth"),
        "{message}"
    );
}

#[test]
fn flags_override_the_environment_and_that_overrides_the_file() {
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
        let message = sentence(&finished);
        assert!(
            message.contains("'listen'") && message.contains(winner),
            "{message}"
        );
    }
}

#[test]
fn the_server_sets_unset_variables_of_its_libraries() {
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
fn an_invalid_setting_is_named() {
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
    let key = "a-key-that-stays-hidden";
    let server = Setup::new().key(key).start();
    server.client().get("/collections").expect(200);
    assert!(!server.banner().contains(key));
    assert!(!server.log().contains(key));
}
