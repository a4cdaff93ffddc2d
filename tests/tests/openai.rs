//! `/v1`: the unmodified `openai` client, LangChain's wrapper of it, and their errors.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::path::{Path, PathBuf};

use clipdb_tests::{Python, Setup, SharedServer, pictures};
use reqwest::Method;
use serde_json::json;

const KEY: &str = "a-key-of-this-test";
const MODEL: &str = "clipdb-multilingual";

static SERVER: SharedServer = SharedServer::new(|| Setup::new().key(KEY).start());

fn run(script: &str, arguments: &[&str]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("openai");
    let python = Python::environment("openai", &folder.join("requirements.txt"));
    let base = SERVER.client().base();
    let arguments: Vec<&str> = [base, KEY, MODEL]
        .iter()
        .chain(arguments)
        .copied()
        .collect();
    let finished = python.run(&folder.join(script), &arguments);
    assert_eq!(
        (finished.code, finished.stdout.trim()),
        (Some(0), "ok"),
        "{}",
        finished.stderr
    );
}

#[test]
fn the_unmodified_openai_client_works() {
    let folder = tempfile::tempdir().unwrap();
    let picture: PathBuf = folder.path().join("umbrella.png");
    std::fs::write(&picture, pictures::drawing("umbrella")).unwrap();
    run("openai_client.py", &[picture.to_str().unwrap()]);
}

#[test]
fn langchain_s_wrapper_works_and_its_errors_name_the_setting() {
    run("langchain_client.py", &[]);
}

#[test]
fn an_error_is_a_problem_and_an_openai_error() {
    let client = SERVER.client();
    for (path, body, status, code) in [
        ("/v1/embeddings", json!({}), 400, "invalid_field"),
        (
            "/v1/embeddings",
            json!({ "input": "a", "model": "b" }),
            404,
            "unknown_model",
        ),
        ("/v1/chat/completions", json!({}), 404, "no_such_route"),
    ] {
        let problem = client.post(path, &body).expect_problem(status, code);
        assert_eq!(problem["error"]["code"], code, "{problem}");
        assert_eq!(problem["error"]["message"], problem["detail"]);
        assert_eq!(problem["error"]["type"], "invalid_request_error");
    }
    for (body, status) in [
        (json!({ "input": "a", "encoding_format": null }), 200),
        (json!({ "input": "a", "encoding_format": 7 }), 400),
        (json!(["a", MODEL]), 400),
    ] {
        let answer = client.post("/v1/embeddings", &body);
        assert_eq!(answer.status, status, "{body}");
        if status == 400 {
            let problem = answer.expect_problem(400, "invalid_field");
            let detail = problem["detail"].as_str().unwrap();
            assert!(!detail.contains("struct"), "{detail}");
        }
    }
    let stranger = client.with_key(None);
    let problem = stranger
        .get("/v1/models")
        .expect_problem(401, "unauthorized");
    assert_eq!(problem["error"]["type"], "authentication_error");
    let broken = client.send(
        Method::POST,
        "/v1/embeddings",
        Some("application/json"),
        "{",
    );
    assert_eq!(
        broken.expect_problem(400, "invalid_json")["error"]["code"],
        "invalid_json"
    );
}

#[test]
fn the_models_are_listed_with_their_properties() {
    let client = SERVER.client();
    let listed = client.get("/v1/models").expect(200).json();
    assert_eq!(listed["object"], "list");
    let model = &listed["data"][0];
    assert_eq!(
        (&model["id"], &model["object"]),
        (&json!(MODEL), &json!("model"))
    );
    assert_eq!(model["dimensions"], 576);
    assert!(model["created"].as_u64().unwrap() > 1_700_000_000);
    assert_eq!(
        client
            .get(&format!("/v1/models/{MODEL}"))
            .expect(200)
            .json(),
        *model
    );
    let problem = client
        .get("/v1/models/a%2Fb")
        .expect_problem(404, "unknown_model");
    assert!(
        problem["detail"].as_str().unwrap().contains("'a/b'"),
        "{problem}"
    );
}
