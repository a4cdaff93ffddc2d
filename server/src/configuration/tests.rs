//! What the configuration takes, refuses and fills in.

use clipdb_api::engine::{Devices, Precision};

use super::*;

fn file(text: &str) -> Result<Settings, ConfigurationError> {
    toml::from_str(text).map_err(|error| wrong_file(Path::new("clipdb.toml"), &error))
}

#[test]
fn nothing_given_is_a_working_configuration() {
    let configuration = Settings::default().check().unwrap();
    assert_eq!(configuration.listen.to_string(), "127.0.0.1:8080");
    let model = &configuration.models[0];
    assert_eq!(model.name, "clipdb-mini");
    assert_eq!(model.encoder.devices, Devices::default());
    assert_eq!(model.encoder.precision, Precision::F32);
}

#[test]
fn flags_win_over_the_file() {
    let flags = Settings {
        listen: Some("127.0.0.1:9".into()),
        ..Settings::default()
    };
    let file = file("listen = '127.0.0.1:8'\nmax_text_bytes = 7\nmodel = 'a'").unwrap();
    let merged = flags.over(file, Path::new("f")).unwrap().check().unwrap();
    assert_eq!(merged.listen.port(), 9);
    assert_eq!(merged.engine.max_text_bytes, 7);
    assert_eq!(merged.models[0].name, "a");
}

#[test]
fn a_mistake_is_told_with_its_key() {
    let cases = [
        ("device = 'gpu'", "device"),
        ("precision = 'int8'", "precision"),
        ("threads = 0", "threads"),
        ("replicas = 0", "replicas"),
        ("listen = 'nowhere'", "listen"),
        ("grpc = '51000'", "grpc"),
        (
            "clip_as_service_collection = 'A B'",
            "clip_as_service_collection",
        ),
        ("api_key = 'short'", "api_key"),
        ("batch_size = 0", "batch_size"),
    ];
    for (text, key) in cases {
        let message = file(text)
            .and_then(Settings::check)
            .unwrap_err()
            .to_string();
        assert!(message.contains(&format!("'{key}'")), "{text}: {message}");
    }
    assert!(
        file("divice = 'cpu'")
            .unwrap_err()
            .to_string()
            .contains("divice")
    );
}

#[test]
fn an_open_door_needs_a_key_or_a_word() {
    let open = |text: &str| file(text).and_then(Settings::check);
    assert!(matches!(
        open("listen = '0.0.0.0:80'"),
        Err(ConfigurationError::Open(_))
    ));
    assert!(matches!(
        open("grpc = '0.0.0.0:51000'"),
        Err(ConfigurationError::Open(address)) if address.port() == 51000
    ));
    assert!(open("listen = '0.0.0.0:80'\nno_auth = true").is_ok());
    assert!(open("listen = '0.0.0.0:80'\napi_key = 'a-long-secret'").is_ok());
}
