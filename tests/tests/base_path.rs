//! A reverse proxy that serves everything under a path. `--base-path` names the path to the server;
//! without it the page works too.
#![allow(clippy::unwrap_used, reason = "a test")]

use clipdb_tests::{Client, Server, Setup, pictures, send};
use reqwest::Method;
use serde_json::json;

#[test]
fn every_route_is_also_served_under_the_path() {
    let server = Setup::new().flag("--base-path", "/find/it/").start();
    let client = server.client();
    for base in ["", "/find/it"] {
        for path in [
            "/",
            "/docs",
            "/openapi.json",
            "/page/page.js",
            "/health",
            "/ready",
            "/metrics",
            "/collections",
            "/v1/models",
        ] {
            client.get(&format!("{base}{path}")).expect(200);
        }
        let name = format!("{base}/collections/b");
        client.put(&name, &json!({}));
        let id = format!("{base}-é").replace('/', "_");
        let document =
            json!({ "id": id, "text": "a ferry", "image": Client::image(&pictures::png(3)) });
        client
            .post(&format!("{name}/documents"), &document)
            .expect(200);
        let answer = client
            .post(&format!("{name}/search"), &json!({ "text": "ferry" }))
            .expect(200);
        // Links contain the path, so they work from outside.
        let image = answer.json()["hits"][0]["image"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(
            image.starts_with("/find/it/collections/b/documents/"),
            "{image}"
        );
        client.get(&image).expect_kind(200, "image/png");
        let taken = client
            .post(&format!("{name}/snapshots?wait=false"), &json!({}))
            .expect(202);
        let task = taken.header("location").unwrap();
        assert!(task.starts_with("/find/it/tasks/"), "{task}");
        client.get(task).expect(200);
        send(client.request(Method::HEAD, &format!("{base}/collections"))).expect(200);
        client
            .delete(&format!("{base}/health"))
            .expect_problem(405, "method_not_allowed");
        client
            .get(&format!("{base}/nowhere"))
            .expect_problem(404, "no_such_route");
        client
            .get(&format!("{base}/v1/nowhere"))
            .expect_problem(404, "no_such_route");
    }
    // The path matches only complete segments.
    for path in [
        "/find",
        "/find/itx/collections",
        "/find/it/find/it/collections",
    ] {
        client.get(path).expect_problem(404, "no_such_route");
    }
}

#[test]
fn the_path_itself_redirects_to_the_page() {
    let server = Setup::new().flag("--base-path", "/find").start();
    let http = reqwest::blocking::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .unwrap();
    let answer = http
        .get(format!("{}/find?q=a", server.client().base()))
        .send()
        .unwrap();
    assert_eq!(answer.status().as_u16(), 308);
    assert_eq!(answer.headers()["location"], "/find/?q=a");
}

#[test]
fn the_key_is_also_required_under_the_path() {
    let server = Setup::new()
        .key("a-key-of-this-test")
        .flag("--base-path", "/find")
        .start();
    let stranger = server.client().with_key(None);
    for path in [
        "/find/collections",
        "/find/openapi.json",
        "/find/nowhere",
        "/find//health",
    ] {
        stranger.get(path).expect_problem(401, "unauthorized");
    }
    for path in [
        "/find/",
        "/find/docs",
        "/find/page/page.css",
        "/find/health",
    ] {
        stranger.get(path).expect(200);
    }
    server.client().get("/find/collections").expect(200);
}

#[test]
fn an_invalid_path_is_named() {
    for path in ["find", "/a//b", "/a?b", "/../a", "/collections", "/v1"] {
        let refused = Setup::new().flag("--base-path", path).refused();
        assert_eq!(refused.code, Some(2), "{path}: {}", refused.stderr);
        assert!(
            refused.stderr.contains("'base_path'"),
            "{path}: {}",
            refused.stderr
        );
    }
}

#[test]
fn no_link_in_the_page_s_files_begins_with_a_slash() {
    let server = Server::start();
    let client = server.client();
    for path in ["/", "/docs"] {
        let html = client.get(path).expect(200).text();
        for attribute in ["href=\"/", "src=\"/", "action=\"/"] {
            assert!(!html.contains(attribute), "{path} has {attribute}");
        }
    }
    for file in [
        "api", "docs", "page", "details", "results", "picture", "question", "upload",
    ] {
        let script = client.get(&format!("/page/{file}.js")).expect(200).text();
        for absolute in ["from \"/", "import(\"/", "fetch(\"/"] {
            assert!(!script.contains(absolute), "{file}.js has {absolute}");
        }
    }
    let book = client.get("/openapi.json").expect(200).json();
    assert_eq!(book["servers"][0]["url"], "./");
}
