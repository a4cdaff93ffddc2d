use serde_json::json;

use super::*;

fn parsed(json: Value) -> DataRequest {
    request_from_json(json.to_string().as_bytes()).unwrap()
}

#[test]
fn both_cases_and_both_forms_are_parsed() {
    let short = parsed(json!({ "data": [{ "text": "a" }], "execEndpoint": "/rank" }));
    let long = parsed(json!({
        "header": { "request_id": "r", "exec_endpoint": "/rank" },
        "parameters": { "limit": 3 },
        "data": { "docs": [{ "id": "x", "text": null, "blob": "aGk=", "tags": { "a": 1 } }] },
        "exec_endpoint": "/rank",
        "target_executor": "",
    }));
    for request in [&short, &long] {
        let header = request.header.as_ref().unwrap();
        assert_eq!(header.exec_endpoint(), "/rank");
        assert_eq!(request.documents().len(), 1);
    }
    assert_eq!(short.documents()[0].id.len(), 32);
    assert_eq!(long.header.as_ref().unwrap().request_id, "r");
    let document = &long.documents()[0];
    assert_eq!(document.content, Some(Content::Blob("hi".into())));
    assert!(parsed(json!({})).documents().is_empty());
    assert!(parsed(json!({ "data": null })).documents().is_empty());
}

#[test]
fn of_several_contents_docarray_s_is_kept() {
    let request = parsed(json!({ "data": [
        { "text": "a", "blob": "aGk=" },
        { "text": "", "blob": "aGk=" },
        { "text": "a", "blob": "" },
        { "text": "a", "blob": "aGk=", "tensor": [[1]] },
    ] }));
    let [both, empty, text, all] = request.documents() else {
        unreachable!()
    };
    for document in [both, empty] {
        assert_eq!(document.content, Some(Content::Blob("hi".into())));
    }
    assert_eq!(text.content, Some(Content::Text("a".to_owned())));
    assert!(matches!(all.content, Some(Content::Tensor(_))));
}

#[test]
fn nested_documents_have_their_depth() {
    let request = parsed(json!({ "data": [{
        "id": "r",
        "matches": [{ "matches": [{}] }, { "adjacency": 7 }],
        "chunks": [{}],
    }] }));
    let root = &request.documents()[0];
    assert_eq!((root.granularity, root.adjacency), (0, 0));
    assert_eq!(
        [root.matches[0].adjacency, root.matches[1].adjacency],
        [1, 7]
    );
    let chunk = &root.chunks[0];
    assert_eq!((chunk.granularity, chunk.parent_id.as_str()), (1, "r"));
}

#[test]
fn invalid_requests_are_refused() {
    for json in [
        json!({ "data": [{ "blob": "*" }] }),
        json!({ "data": "a" }),
        json!({ "data": [1] }),
        // serde would read a list as a document's fields in their order.
        json!({ "data": [["posid"]] }),
        json!({ "data": { "docs": [["posid"]] } }),
        json!([]),
    ] {
        assert!(
            request_from_json(json.to_string().as_bytes()).is_err(),
            "{json}"
        );
    }
}

#[test]
fn the_first_key_distinguishes_the_protocols() {
    for theirs in [
        r#"{"data": ["#,
        r#" {"header":"#,
        r#"{"execEndpoint": "/"}"#,
    ] {
        assert!(is_request(theirs.as_bytes()), "{theirs}");
    }
    for ours in [
        r#"{"inputs": []}"#,
        "{}",
        "",
        "[]",
        "nonsense",
        r#"{"text": "data"}"#,
    ] {
        assert!(!is_request(ours.as_bytes()), "{ours}");
    }
}

#[test]
fn a_response_has_its_shape() {
    let mut request = parsed(json!({
        "header": { "request_id": "r" },
        "data": [{ "id": "x", "text": "hi", "matches": [{ "id": "m", "adjacency": 1, "scores": { "s": { "value": 0.5 } } }] }],
    }));
    if let Some(data) = &mut request.data
        && let Some(docs) = &mut data.docs
    {
        docs.docs[0].embedding = Some(NdArray::of_floats(&[0.25]));
    }
    let json: Value = serde_json::from_str(&response_to_json(&request).unwrap()).unwrap();
    assert_eq!(
        json["header"],
        json!({ "requestId": "r", "status": null, "execEndpoint": "", "targetExecutor": "" })
    );
    let document = &json["data"][0];
    assert_eq!(document["embedding"], json!([0.25]));
    assert_eq!(document["uri"], Value::Null);
    assert_eq!(document["matches"][0]["adjacency"], 1);
    assert_eq!(
        document["matches"][0]["scores"]["s"],
        json!({ "value": 0.5, "op_name": null, "description": null, "ref_id": null })
    );
    assert_eq!(document.as_object().unwrap().len(), 19);
}
