//! Documents: every format of a write, reads, patches, deletions, lists, images.
#![allow(clippy::unwrap_used, reason = "a test")]

use clipdb_tests::{Client, Server, SharedServer, pictures};
use image::GenericImageView;
use reqwest::Method;
use reqwest::blocking::multipart::{Form, Part};
use serde_json::{Value, json};

static SERVER: SharedServer = SharedServer::new(Server::start);

fn client() -> &'static Client {
    SERVER.client()
}

#[test]
fn one_object_is_stored() {
    let collection = client().collection("object");
    let document = json!({ "id": "cat-1", "text": "a cat on a mat", "metadata": { "year": 2024, "place": { "city": "Lyon" } } });
    let answer = collection.add(&document);
    assert_eq!(
        answer["results"],
        json!([{ "id": "cat-1", "status": "created" }])
    );
    assert_eq!(
        (&answer["created"], &answer["updated"]),
        (&json!(1), &json!(0))
    );
    let answer = collection.add(&document);
    assert_eq!(answer["results"][0]["status"], "updated");

    let stored = collection.document("cat-1").expect(200).json();
    assert_eq!(stored["text"], document["text"]);
    assert_eq!(stored["metadata"], document["metadata"]);
    assert!(stored.get("image").is_none(), "{stored}");
}

#[test]
fn generated_ids_sort_by_time() {
    let collection = client().collection("made-ids");
    let ids: Vec<String> = (0..3)
        .map(|number| {
            let answer = collection.add(&json!({ "text": format!("number {number}") }));
            answer["results"][0]["id"].as_str().unwrap().to_owned()
        })
        .collect();
    assert!(ids.is_sorted() && ids[0] < ids[2], "{ids:?}");
    collection.document(&ids[1]).expect(200);
}

#[test]
fn results_are_in_the_order_of_the_array() {
    let collection = client().collection("array");
    let documents: Vec<Value> = (0..40)
        .map(|number| json!({ "id": format!("d{number}"), "text": format!("line {number}") }))
        .collect();
    let answer = collection.add(&json!(documents));
    let ids: Vec<_> = answer["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| result["id"].clone())
        .collect();
    assert_eq!(
        ids,
        documents
            .iter()
            .map(|document| document["id"].clone())
            .collect::<Vec<_>>()
    );
}

#[test]
fn the_later_of_two_documents_with_one_id_is_stored() {
    let collection = client().collection("same-id");
    collection.add(
        &json!([{ "id": "x", "text": "earlier words" }, { "id": "x", "text": "later words" }]),
    );
    assert_eq!(
        collection.document("x").expect(200).json()["text"],
        "later words"
    );
    assert_eq!(collection.summary()["documents"], 1);
    assert!(
        collection
            .hits(&json!({ "keywords": "earlier" }))
            .is_empty()
    );
    assert_eq!(
        collection.ids(&json!({ "text": "words", "mode": "vector" })),
        ["x"]
    );
}

#[test]
fn ndjson_may_have_blank_lines_and_no_final_newline() {
    let collection = client().collection("stream");
    let lines = "{\"id\":\"a\",\"text\":\"alpha\"}\n\n{\"id\":\"b\",\"text\":\"beta\"}\r\n{\"id\":\"c\",\"text\":\"gamma\"}";
    let answer = client().send(
        Method::POST,
        &collection.path("/documents"),
        Some("application/x-ndjson"),
        lines,
    );
    let answer = answer.expect(200).json();
    assert_eq!(
        (&answer["created"], &answer["failed"]),
        (&json!(3), &json!(0)),
        "{answer}"
    );
    assert_eq!(collection.ids(&json!({ "keywords": "beta" })), ["b"]);
}

#[test]
fn each_file_of_a_form_is_a_document() {
    let collection = client().collection("files");
    let form = Form::new()
        .part(
            "one",
            Part::bytes(pictures::png(11))
                .file_name("eleven.png")
                .mime_str("image/png")
                .unwrap(),
        )
        .part(
            "two",
            Part::bytes(pictures::jpeg(12))
                .file_name("twelve.jpg")
                .mime_str("image/jpeg")
                .unwrap(),
        );
    let answer = client()
        .form(&collection.path("/documents"), form)
        .expect(200)
        .json();
    assert_eq!(answer["created"], 2, "{answer}");
    let id = answer["results"][1]["id"].as_str().unwrap();
    assert_eq!(
        collection.image(id).expect_kind(200, "image/jpeg").body,
        pictures::jpeg(12)
    );
    assert_eq!(
        collection.document(id).expect(200).json()["metadata"]["filename"],
        "twelve.jpg"
    );
}

#[test]
fn documents_of_a_form_refer_to_its_files() {
    let collection = client().collection("form");
    let documents = json!([
        { "id": "named", "text": "with a picture", "image": { "file": "photo" } },
        { "id": "plain", "text": "without one" },
    ]);
    let form = Form::new()
        .part(
            "documents",
            Part::text(documents.to_string())
                .mime_str("application/json")
                .unwrap(),
        )
        .part(
            "photo",
            Part::bytes(pictures::png(21))
                .file_name("p.png")
                .mime_str("image/png")
                .unwrap(),
        )
        .part(
            "rest",
            Part::bytes(pictures::png(22))
                .file_name("r.png")
                .mime_str("image/png")
                .unwrap(),
        );
    let answer = client()
        .form(&collection.path("/documents"), form)
        .expect(200)
        .json();
    assert_eq!(
        (&answer["created"], &answer["failed"]),
        (&json!(3), &json!(0)),
        "{answer}"
    );
    assert_eq!(
        collection.image("named").expect(200).body,
        pictures::png(21)
    );
    collection.image("plain").expect_problem(404, "no_image");
}

#[test]
fn base64_comes_in_several_spellings() {
    let collection = client().collection("base64");
    let plain = Client::image(&pictures::png(31));
    let plain = plain["base64"].as_str().unwrap();
    for (id, spelling) in [
        ("padded", plain.to_owned()),
        ("unpadded", plain.trim_end_matches('=').to_owned()),
        ("uri", format!("data:image/png;base64,{plain}")),
        (
            "broken-lines",
            plain
                .as_bytes()
                .chunks(76)
                .map(|line| std::str::from_utf8(line).unwrap())
                .collect::<Vec<_>>()
                .join("\n"),
        ),
    ] {
        collection.add(&json!({ "id": id, "image": { "base64": spelling } }));
        assert_eq!(
            collection.image(id).expect(200).body,
            pictures::png(31),
            "{id}"
        );
    }
}

#[test]
fn put_creates_and_replaces() {
    let collection = client().collection("put");
    let path = collection.document_path("p");
    let answer = client()
        .put(
            &path,
            &json!({ "text": "one", "metadata": { "kept": false } }),
        )
        .expect(200)
        .json();
    assert_eq!(answer["results"][0]["status"], "created");
    client()
        .put(&path, &json!({ "id": "p", "text": "two" }))
        .expect(200);
    let stored = collection.document("p").expect(200).json();
    assert_eq!(
        (&stored["text"], &stored["metadata"]),
        (&json!("two"), &json!({}))
    );
    client()
        .put(&path, &json!({ "id": "q", "text": "three" }))
        .expect_problem(422, "invalid_field");
    client()
        .put(&path, &json!({}))
        .expect_problem(422, "empty_document");
    for empty in ["", " \n"] {
        client()
            .patch(&path, &json!({ "text": empty }))
            .expect_problem(422, "empty_document");
    }
    assert_eq!(collection.document("p").expect(200).json()["text"], "two");
}

#[test]
fn patch_merges_and_encodes_only_changed_inputs() {
    let collection = client().collection("patch");
    collection.add(&json!({ "id": "p", "text": "a red bicycle", "metadata": { "a": 1, "b": { "c": 2, "d": 3 } } }));
    let path = collection.document_path("p");

    let patched = client()
        .patch(
            &path,
            &json!({ "metadata": { "a": null, "b": { "c": 4 }, "e": 5 } }),
        )
        .expect(200)
        .json();
    assert_eq!(
        patched["metadata"],
        json!({ "b": { "c": 4, "d": 3 }, "e": 5 })
    );
    assert_eq!(patched["text"], "a red bicycle");

    client()
        .patch(&path, &json!({ "text": "a green boat" }))
        .expect(200);
    assert!(
        collection
            .hits(&json!({ "keywords": "bicycle" }))
            .is_empty()
    );
    assert_eq!(collection.ids(&json!({ "keywords": "boat" })), ["p"]);
    let hit = &collection.hits(&json!({ "text": "a green boat", "mode": "vector" }))[0];
    assert!(hit["score"].as_f64().unwrap() > 0.999, "{hit}");

    let image = Client::image(&pictures::png(41));
    client()
        .patch(&path, &json!({ "image": image }))
        .expect(200);
    assert_eq!(collection.image("p").expect(200).body, pictures::png(41));
    client().patch(&path, &json!({ "text": null })).expect(200);
    assert!(
        collection
            .document("p")
            .expect(200)
            .json()
            .get("text")
            .is_none()
    );
    client()
        .patch(&path, &json!({ "image": null }))
        .expect_problem(422, "empty_document");
    collection.image("p").expect(200);
    client()
        .patch(&collection.document_path("absent"), &json!({ "text": "a" }))
        .expect_problem(404, "document_not_found");
}

#[test]
fn delete_removes_a_document_from_all_indexes() {
    let collection = client().collection("delete");
    collection.add(&json!([{ "id": "goes", "text": "a temporary thing" }, { "id": "stays", "text": "a lasting thing" }]));
    client()
        .delete(&collection.document_path("goes"))
        .expect(204);
    collection
        .document("goes")
        .expect_problem(404, "document_not_found");
    client()
        .delete(&collection.document_path("goes"))
        .expect_problem(404, "document_not_found");
    for mode in ["keyword", "vector", "hybrid"] {
        assert_eq!(
            collection.ids(&json!({ "text": "thing", "mode": mode })),
            ["stays"],
            "{mode}"
        );
    }
}

#[test]
fn a_list_cursor_survives_writes() {
    let collection = client().collection("list");
    let documents: Vec<Value> = (0..30)
        .map(|number| json!({ "id": format!("k{number:02}"), "text": format!("page {number}") }))
        .collect();
    collection.add(&json!(documents));
    let page = |cursor: &str| {
        client()
            .get(&collection.path(&format!("/documents?limit=10{cursor}")))
            .expect(200)
            .json()
    };
    let ids = |page: &Value| -> Vec<String> {
        page["documents"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let first = page("");
    assert_eq!(
        ids(&first),
        (0..10)
            .map(|number| format!("k{number:02}"))
            .collect::<Vec<_>>()
    );

    // Before the cursor one is added and one deleted; the cursor's own is deleted; one is added after.
    collection.add(&json!([{ "id": "k00a", "text": "new" }, { "id": "k10a", "text": "new" }]));
    client()
        .delete(&collection.document_path("k03"))
        .expect(204);
    client()
        .delete(&collection.document_path("k09"))
        .expect(204);
    let second = page(&format!("&cursor={}", first["cursor"].as_str().unwrap()));
    assert_eq!(ids(&second)[..3], ["k10", "k10a", "k11"]);

    assert_eq!(collection.list(7).len(), 30);
    client()
        .get(&collection.path("/documents?cursor=%21"))
        .expect_problem(422, "invalid_field");
    client()
        .get(&collection.path("/documents?limit=0"))
        .expect_problem(422, "invalid_field");
    let problem = client()
        .get(&collection.path("/documents?limt=5"))
        .expect_problem(422, "unknown_field");
    assert!(
        problem["detail"].as_str().unwrap().contains("limt"),
        "{problem}"
    );
}

#[test]
fn an_image_is_returned_unchanged_with_its_type_and_etag() {
    let collection = client().collection("image");
    let cases = [
        ("png", pictures::png(51), "image/png"),
        ("jpeg", pictures::jpeg(52), "image/jpeg"),
        (
            "webp",
            pictures::encoded(&pictures::discs(53, 40), image::ImageFormat::WebP),
            "image/webp",
        ),
        (
            "bmp",
            pictures::encoded(&pictures::discs(54, 40), image::ImageFormat::Bmp),
            "image/bmp",
        ),
        (
            "tiff",
            pictures::encoded(&pictures::discs(55, 40), image::ImageFormat::Tiff),
            "image/tiff",
        ),
    ];
    for (id, bytes, kind) in &cases {
        collection.add(&pictures::document(id, bytes));
        let answer = collection.image(id).expect_kind(200, kind);
        assert_eq!(&answer.body, bytes, "{id}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        let tag = answer.header("etag").unwrap().to_owned();

        let path = format!("{}/image", collection.document_path(id));
        let again = clipdb_tests::send(
            client()
                .request(Method::GET, &path)
                .header("if-none-match", &tag),
        )
        .expect(304);
        assert!(again.body.is_empty());
    }
    let stored = collection.document("jpeg").expect(200).json();
    assert_eq!(
        stored["image"],
        format!("{}/image", collection.document_path("jpeg"))
    );
    assert_eq!(
        (
            &stored["image_info"]["width"],
            &stored["image_info"]["height"]
        ),
        (&json!(160), &json!(160))
    );
}

#[test]
fn thumbnails_have_the_requested_width() {
    let collection = client().collection("thumbnails");
    collection.add(&pictures::document("wide", &pictures::jpeg(61)));
    let path = format!("{}/image", collection.document_path("wide"));
    let mut tags = Vec::new();
    for width in [16, 64, 100] {
        let answer = client().get(&format!("{path}?width={width}")).expect(200);
        let picture = image::load_from_memory(&answer.body).unwrap();
        assert_eq!(picture.dimensions(), (width, width));
        tags.push(answer.header("etag").unwrap().to_owned());
    }
    tags.push(client().get(&path).header("etag").unwrap().to_owned());
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), 4, "each width has a tag of its own");
    let larger = client().get(&format!("{path}?width=2000")).expect(200);
    assert_eq!(
        image::load_from_memory(&larger.body).unwrap().width(),
        160,
        "never made larger"
    );
    for width in ["0", "4000", "-1", "wide"] {
        client()
            .get(&format!("{path}?width={width}"))
            .expect_problem(422, "invalid_field");
    }
}

#[test]
fn any_id_can_be_percent_encoded() {
    let collection = client().collection("ids");
    for id in [
        "a b",
        "emoji/red-apple",
        "ç",
        "猫 🐈",
        "100%",
        "?q=1&x#y",
        "a+b",
        "dir/../up",
        "\"'<>",
        &"long".repeat(64),
    ] {
        collection.add(&json!({ "id": id, "text": format!("the document {id}"), "image": Client::image(&pictures::png(71)) }));
        let stored = collection.document(id).expect(200).json();
        assert_eq!(stored["id"], id);
        let image = stored["image"].as_str().unwrap();
        assert_eq!(
            client().get(image).expect(200).body,
            pictures::png(71),
            "{id}"
        );
        client().delete(&collection.document_path(id)).expect(204);
    }
    for id in ["", &"x".repeat(257), "line\nbreak"] {
        let path = collection.path("/documents");
        client()
            .post(&path, &json!({ "id": id, "text": "a" }))
            .expect_problem(422, "invalid_document_id");
    }
}

#[test]
fn a_text_is_stored_unchanged_whatever_its_length() {
    let collection = client().collection("texts");
    let odd = "  tabs\tand\nlines, 猫, emoji 👩‍🚀, <b>&amp;</b>, \u{0}nul  ";
    collection.add(&json!({ "id": "odd", "text": odd }));
    assert_eq!(collection.document("odd").expect(200).json()["text"], odd);

    let long = "A sentence about sailing ships. ".repeat(400);
    let answer = collection
        .add(&json!([{ "id": "long", "text": long }, { "id": "short", "text": "ships" }]));
    for result in answer["results"].as_array().unwrap() {
        assert!(result.get("truncated").is_none(), "{answer}");
    }
    let stored = collection.document("long").expect(200).json();
    assert_eq!(stored["text"], json!(long));
    assert!(stored.get("truncated").is_none(), "{stored}");
}
