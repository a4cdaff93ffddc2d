//! Values that are accepted, rejected and filled in, and the help.

use clipdb_api::engine::{Devices, Precision};

use super::*;

fn file(text: &str) -> Result<Settings, ConfigurationError> {
    toml::from_str(text).map_err(|error| invalid_file(Path::new("clipdb.toml"), &error))
}

#[test]
fn the_defaults_are_a_valid_configuration() {
    let configuration = Settings::default().resolve().unwrap();
    assert_eq!(configuration.listen.to_string(), "127.0.0.1:8080");
    let model = &configuration.models.chosen[0];
    assert_eq!(model.name, "clipdb-multilingual");
    assert_eq!(model.encoder.devices, Devices::default());
    assert_eq!(model.encoder.precision, Precision::F32);
}

#[test]
fn flags_take_precedence_over_the_file() {
    let flags = Settings {
        listen: Some("127.0.0.1:9".into()),
        ..Settings::default()
    };
    let file = file("listen = '127.0.0.1:8'\nmax_text_bytes = 7\nmodel = 'a'").unwrap();
    let merged = flags.over(file, Path::new("f")).unwrap().resolve().unwrap();
    assert_eq!(merged.listen.port(), 9);
    assert_eq!(merged.engine.max_text_bytes, 7);
    assert_eq!(merged.models.chosen[0].name, "a");
}

#[test]
fn an_invalid_value_is_reported_with_its_key() {
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
            .and_then(Settings::resolve)
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
fn a_public_address_requires_a_key_or_no_auth() {
    let open = |text: &str| file(text).and_then(Settings::resolve);
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

/// Flag, value and fixed default of every setting. Scripts and configuration files rely on them.
const INTERFACE: &str = "\
config | FILE
data | DIR | ./data
listen | HOST:PORT | 127.0.0.1:8080
grpc | HOST:PORT | off
model | NAME|DIR|HUB-ID | clipdb-multilingual
replicas | N | 1
model-cache | DIR | ~/.cache/clipdb
device | DEVICE | auto
precision | PRECISION | f32
engine | ENGINE | auto
onnx-runtime | FILE
batch-size | N
batch-delay-ms | MS | 0
threads | N
index-threads | N
decode-threads | N
decode-memory-mib | MIB | 1024
max-image-pixels | N | 64000000
max-text-bytes | N | 1048576
max-fields | N | 10000
max-collections | N | 20000
open-collections | N | 256
start-patience-seconds | N | 2
max-body-bytes | N | 134217728
max-line-bytes | N | 50331648
body-timeout-seconds | N | 30
min-body-rate | N | 500
body-deadline-seconds | N | 3600
ingest-memory-mib | MIB | 512
url-ingest
url-ingest-allow | HOST | none
max-url-bytes | N | 33554432
cache-mib | MIB | 256
disk-reserve-mib | MIB | 64
tls-cert | FILE
tls-key | FILE
api-key | KEY
api-key-file | FILE
no-auth
cors-origin | ORIGIN | none
allowed-host | HOST
base-path | PATH | none
clip-as-service-collection | NAME | default
clip-as-service-normalise
log | FILTER | info,tantivy=warn
otlp | URL | none
";

#[test]
fn flags_variables_and_defaults_are_stable() {
    let command = defaults::show(ServeArguments::augment_args(clap::Command::new("serve")));
    let mut expected = INTERFACE.lines();
    for argument in command.get_arguments() {
        let line = expected.next().unwrap();
        let mut parts = line.split(" | ");
        let flag = parts.next().unwrap();
        assert_eq!(argument.get_long(), Some(flag));
        let variable = format!("CLIPDB_{}", flag.replace('-', "_").to_uppercase());
        assert_eq!(argument.get_env().unwrap().to_str(), Some(&variable[..]));
        if let Some(value) = parts.next().filter(|value| !value.is_empty()) {
            assert_eq!(argument.get_value_names().unwrap()[0].as_str(), value);
        }
        let help = argument.get_help().unwrap().to_string();
        match parts.next() {
            Some(default) => {
                let shown = format!("[default: {default}]");
                assert!(help.ends_with(&shown), "{flag}: {help}");
            }
            None => assert!(!help.contains("[default: none]"), "{flag}: {help}"),
        }
    }
    assert_eq!(expected.next(), None);
}

#[test]
fn the_resolved_defaults_are_those_of_the_help() {
    let configuration = Settings::default().resolve().unwrap();
    let (engine, rest) = (&configuration.engine, &configuration.rest);
    let encoder = &configuration.models.chosen[0].encoder;
    let resolved = [
        ("data", engine.data.display().to_string()),
        ("listen", configuration.listen.to_string()),
        ("model", configuration.models.chosen[0].name.clone()),
        ("log", configuration.log.clone()),
        ("replicas", encoder.replicas.to_string()),
        (
            "max_image_pixels",
            engine.image_limits.max_pixels.to_string(),
        ),
        (
            "decode_memory_mib",
            (engine.thumbnail_memory >> 20).to_string(),
        ),
        (
            "batch_delay_ms",
            encoder.batch_delay.as_millis().to_string(),
        ),
        ("max_text_bytes", engine.max_text_bytes.to_string()),
        ("max_fields", engine.max_fields.to_string()),
        ("max_collections", engine.max_collections.to_string()),
        ("open_collections", engine.open_collections.to_string()),
        (
            "start_patience_seconds",
            engine.start_patience.as_secs().to_string(),
        ),
        ("max_body_bytes", rest.max_body_bytes.to_string()),
        ("max_line_bytes", rest.max_line_bytes.to_string()),
        (
            "body_timeout_seconds",
            rest.pace.patience.as_secs().to_string(),
        ),
        ("min_body_rate", rest.pace.least_rate.to_string()),
        (
            "body_deadline_seconds",
            rest.pace.deadline.as_secs().to_string(),
        ),
        ("ingest_memory_mib", (engine.ingest_bytes >> 20).to_string()),
        ("max_url_bytes", engine.url_ingest.max_bytes.to_string()),
        ("cache_mib", (engine.cache_bytes >> 20).to_string()),
        (
            "disk_reserve_mib",
            (engine.disk_reserve_bytes >> 20).to_string(),
        ),
    ];
    for (setting, value) in resolved {
        assert_eq!(defaults::shown(setting), Some(value), "{setting}");
    }
}
