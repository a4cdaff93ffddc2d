use std::collections::BTreeMap;

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::*;

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Outer {
    size: Option<usize>,
    share: Option<f32>,
    word: Option<Word>,
    inner: Option<Vec<Inner>>,
    named: Option<BTreeMap<String, Inner>>,
    any: Option<Value>,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Inner {
    text: String,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    Yes,
    No,
}

#[test]
fn valid_json_is_read_like_serde_json() {
    let json = json!({
        "size": 3, "share": 2, "word": "no", "inner": [{ "text": "a" }],
        "named": { "b": { "text": "c", "more": 1 } }, "any": [1, { "d": [null, 0.5, true] }],
    });
    let text = json.to_string();
    assert_eq!(
        read::<Outer>(text.as_bytes()).unwrap(),
        serde_json::from_str(&text).unwrap()
    );
    assert_eq!(read::<Value>(text.as_bytes()).unwrap(), json);
    let raw: Vec<&RawValue> = read(br#"[{"a": 1}, [2 ]]"#).unwrap();
    assert_eq!([raw[0].get(), raw[1].get()], [r#"{"a": 1}"#, "[2 ]"]);
    assert!(read::<Value>(b"{} {}").is_err());
    for json in [r#"{"size": 3.0}"#, r#"{"size": 0.3e1}"#] {
        assert_eq!(read::<Outer>(json.as_bytes()).unwrap().size, Some(3));
    }
    for json in [
        r#"{"size": -3.0}"#,
        r#"{"size": 3.5}"#,
        r#"{"size": 1e300}"#,
    ] {
        assert!(read::<Outer>(json.as_bytes()).is_err(), "{json}");
    }
}

#[test]
fn errors_name_the_field_and_the_expected_type() {
    let natural = "expected a whole number from 0";
    for (json, field, text) in [
        ("[3]", "", "expected an object"),
        (r#"{"inner": [["a"]]}"#, "inner[0]", "expected an object"),
        (
            r#"{"named": {"a": ["a"]}}"#,
            "named.a",
            "expected an object",
        ),
        (
            r#"{"named": {"a": 7}}"#,
            "named.a",
            "integer `7`, expected an object",
        ),
        (
            r#"{"named": {"\u0061": [7]}}"#,
            "named.a",
            "a list, expected an object",
        ),
        (r#"{"size": {}}"#, "size", "an object, expected a whole"),
        (r#"{"inner": {"text": "a"}}"#, "inner", "expected a list"),
        (r#"{"size": 1.5}"#, "size", &format!("`1.5`, {natural}")),
        (r#"{"size": -1}"#, "size", &format!("`-1`, {natural}")),
        (r#"{"size": "1"}"#, "size", &format!("\"1\", {natural}")),
        (r#"{"share": "1"}"#, "share", "expected a number"),
        (r#"{"word": 1}"#, "word", r#"expected one of "yes", "no""#),
        (
            r#"{"word": "perhaps"}"#,
            "word",
            "unknown variant `perhaps`",
        ),
        (
            r#"{"inner": [{"text": null}]}"#,
            "inner[0].text",
            "null, expected a string",
        ),
        (r#"{"inner": [{}]}"#, "inner[0]", "missing field `text`"),
        (r#"{"other": 1}"#, "", "unknown field `other`"),
        (
            r#"{"inner": [{"text": []}]}"#,
            "inner[0].text",
            "a list, expected a string",
        ),
    ] {
        let error = read::<Outer>(json.as_bytes()).unwrap_err();
        assert_eq!(error.field, field, "{json}");
        let message = error.message;
        assert!(message.contains(text), "{json}: {message}");
        assert!(message.contains("line 1"), "{json}: {message}");
    }
}

#[test]
fn an_error_has_its_kind() {
    use JsonErrorKind::{InvalidValue, Syntax, UnknownField};
    for (json, kind) in [
        ("", Syntax),
        ("{", Syntax),
        ("{} {}", Syntax),
        (r#"{"size": 1, }"#, Syntax),
        (r#"{"any": tru}"#, Syntax),
        (r#"{"any": 1e999}"#, Syntax),
        (r#"{"other": "unknown field"}"#, UnknownField),
        (r#"{"size": "unknown field"}"#, InvalidValue),
        (r#"{"word": "unknown field `a`"}"#, InvalidValue),
        (r#"{"size": 1, "size": 2}"#, InvalidValue),
        (r#"{"inner": [{}]}"#, InvalidValue),
        ("null", InvalidValue),
    ] {
        let error = read::<Outer>(json.as_bytes()).unwrap_err();
        assert_eq!(error.kind, kind, "{json}: {}", error.message);
    }
}

#[test]
fn json_is_parsed_once_even_if_it_fails() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static PARSED: AtomicUsize = AtomicUsize::new(0);

    #[derive(Debug)]
    struct Counted;

    impl<'de> Deserialize<'de> for Counted {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            PARSED.fetch_add(1, Ordering::Relaxed);
            u8::deserialize(deserializer).map(|_| Self)
        }
    }

    let error = read::<Vec<Counted>>(b"[1, 2, 300]").unwrap_err();
    assert_eq!(error.field, "[2]");
    assert_eq!(PARSED.load(Ordering::Relaxed), 3);
}
