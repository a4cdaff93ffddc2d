//! Downloads from a small HTTP server that behaves like the hub: a large file is a redirect whose
//! headers have its size and checksum, ranges are supported, and a transfer can be interrupted or
//! corrupted.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use sha2::{Digest, Sha256};

use super::*;
use crate::sources::{WEIGHTS, WEIGHTS_INDEX};

const MODEL: &str = "owner/model";

#[derive(Default)]
struct Behaviour {
    files: HashMap<String, Vec<u8>>,
    /// Interrupts the first transfer of `WEIGHTS` after this many bytes.
    break_after: Option<usize>,
    corrupt: bool,
    /// `METHOD path range`, in order of arrival.
    seen: Vec<String>,
}

/// A server for one test. It runs until the process ends.
struct FakeHub {
    address: String,
    behaviour: Arc<Mutex<Behaviour>>,
}

impl FakeHub {
    fn start(files: &[(&str, &[u8])]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let behaviour = Arc::new(Mutex::new(Behaviour {
            files: files
                .iter()
                .map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec()))
                .collect(),
            ..Behaviour::default()
        }));
        let shared = Arc::clone(&behaviour);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        Self { address, behaviour }
    }

    fn seen(&self, start: &str) -> Vec<String> {
        let behaviour = self.behaviour.lock().unwrap();
        let matching = behaviour.seen.iter().filter(|line| line.starts_with(start));
        matching.cloned().collect()
    }
}

/// Serves one request per connection.
fn serve(mut stream: TcpStream, behaviour: &Mutex<Behaviour>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let request = lines.next().unwrap().unwrap();
    let mut range = None;
    for line in lines
        .map(Result::unwrap)
        .take_while(|line| !line.is_empty())
    {
        if let Some(from) = line.to_ascii_lowercase().strip_prefix("range: bytes=") {
            range = from.trim_end_matches('-').parse::<usize>().ok();
        }
    }
    let mut words = request.split(' ');
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let mut behaviour = behaviour.lock().unwrap();
    behaviour
        .seen
        .push(format!("{method} {path} {}", range.unwrap_or(0)));
    let (linked, name) = match path.strip_prefix("/linked/") {
        Some(name) => (true, name),
        None => (false, path.split_once("/resolve/main/").unwrap().1),
    };
    let Some(bytes) = behaviour.files.get(name).cloned() else {
        write!(
            stream,
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        return;
    };
    if !linked && name.ends_with(".safetensors") {
        let digest: String = Sha256::digest(&bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        write!(
            stream,
            "HTTP/1.1 302 Found\r\nLocation: /linked/{name}\r\nX-Linked-Size: {}\r\n\
             X-Linked-Etag: \"{digest}\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            bytes.len()
        )
        .unwrap();
        return;
    }
    let (status, from) = match range {
        Some(from) => ("206 Partial Content", from),
        None => ("200 OK", 0),
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nContent-Range: bytes {from}-{}/{}\r\nConnection: close\r\n\r\n",
        bytes.len() - from,
        bytes.len() - 1,
        bytes.len()
    )
    .unwrap();
    if method == "HEAD" {
        return;
    }
    let mut body = bytes[from..].to_vec();
    if linked && behaviour.corrupt {
        body[0] ^= 1;
    }
    if let Some(after) = behaviour.break_after.take_if(|_| linked) {
        body.truncate(after);
    }
    stream.write_all(&body).unwrap();
}

fn weights() -> Vec<u8> {
    (0..300_000_u32)
        .map(|number| (number % 251) as u8)
        .collect()
}

fn complete_model(weights: &[u8]) -> FakeHub {
    FakeHub::start(&[
        ("config.json", b"{}"),
        ("preprocessor_config.json", b"{}"),
        ("tokenizer.json", b"{}"),
        (WEIGHTS, weights),
    ])
}

fn partial(cache: &Path) -> PathBuf {
    hidden_sibling(&cache::folder(MODEL, cache).unwrap(), "partial")
}

#[test]
fn pulls_once() {
    let (hub, cache) = (complete_model(&weights()), tempfile::tempdir().unwrap());
    let folder = pull_from(&hub.address, MODEL, None, cache.path()).unwrap();
    assert_eq!(fs::read(folder.join(WEIGHTS)).unwrap(), weights());
    assert!(folder.join("tokenizer.json").exists());
    assert!(!partial(cache.path()).exists());
    let requests = hub.seen("").len();
    assert_eq!(
        pull_from(&hub.address, MODEL, None, cache.path()).unwrap(),
        folder
    );
    assert_eq!(hub.seen("").len(), requests, "the cache needs no network");
    assert_eq!(cache::cached_models(cache.path())[0].name, MODEL);
}

#[test]
fn resumes_an_interrupted_transfer() {
    let (hub, cache) = (complete_model(&weights()), tempfile::tempdir().unwrap());
    hub.behaviour.lock().unwrap().break_after = Some(100_000);
    let folder = pull_from(&hub.address, MODEL, None, cache.path()).unwrap();
    assert_eq!(fs::read(folder.join(WEIGHTS)).unwrap(), weights());
    assert_eq!(
        hub.seen("GET /linked"),
        [
            "GET /linked/model.safetensors 0",
            "GET /linked/model.safetensors 100000"
        ]
    );
}

#[test]
fn resumes_the_transfer_of_an_earlier_run() {
    let (hub, cache) = (complete_model(&weights()), tempfile::tempdir().unwrap());
    let staging = partial(cache.path());
    fs::create_dir_all(&staging).unwrap();
    fs::write(staging.join("model.safetensors.part"), &weights()[..4096]).unwrap();
    let folder = pull_from(&hub.address, MODEL, None, cache.path()).unwrap();
    assert_eq!(fs::read(folder.join(WEIGHTS)).unwrap(), weights());
    assert_eq!(
        hub.seen("GET /linked"),
        ["GET /linked/model.safetensors 4096"]
    );
}

#[test]
fn a_corrupt_file_is_rejected() {
    let (hub, cache) = (complete_model(&weights()), tempfile::tempdir().unwrap());
    hub.behaviour.lock().unwrap().corrupt = true;
    let error = pull_from(&hub.address, MODEL, None, cache.path()).unwrap_err();
    assert!(matches!(error, EmbedError::ModelUnavailable { .. }));
    assert!(error.to_string().contains("SHA-256"), "{error}");
    assert!(cache::find(MODEL, cache.path()).is_none());
    assert!(
        !partial(cache.path())
            .join("model.safetensors.part")
            .exists()
    );

    hub.behaviour.lock().unwrap().corrupt = false;
    pull_from(&hub.address, MODEL, None, cache.path()).unwrap();
}

#[test]
fn pulls_shards_by_their_index() {
    let index = br#"{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}"#;
    let hub = complete_model(&[]);
    {
        let files = &mut hub.behaviour.lock().unwrap().files;
        files.remove(WEIGHTS);
        files.insert(WEIGHTS_INDEX.to_owned(), index.to_vec());
        files.insert("model-1.safetensors".to_owned(), b"one".to_vec());
        files.insert("model-2.safetensors".to_owned(), b"two".to_vec());
    }
    let cache = tempfile::tempdir().unwrap();
    let folder = pull_from(&hub.address, MODEL, None, cache.path()).unwrap();
    assert_eq!(
        fs::read(folder.join("model-2.safetensors")).unwrap(),
        b"two"
    );
}

#[test]
fn an_index_cannot_name_files_outside_the_folder() {
    let hub = complete_model(&[]);
    {
        let files = &mut hub.behaviour.lock().unwrap().files;
        files.remove(WEIGHTS);
        let index = br#"{"weight_map": {"a": "../../evil.safetensors"}}"#;
        files.insert(WEIGHTS_INDEX.to_owned(), index.to_vec());
    }
    let cache = tempfile::tempdir().unwrap();
    let error = pull_from(&hub.address, MODEL, None, cache.path()).unwrap_err();
    assert!(error.to_string().contains("evil"), "{error}");
}

#[test]
fn names_the_missing_file() {
    let cache = tempfile::tempdir().unwrap();
    let nothing = FakeHub::start(&[]);
    let error = pull_from(&nothing.address, MODEL, None, cache.path())
        .unwrap_err()
        .to_string();
    assert!(error.contains("no such public model"), "{error}");
    let bare = FakeHub::start(&[("config.json", b"{}"), ("preprocessor_config.json", b"{}")]);
    let error = pull_from(&bare.address, MODEL, None, cache.path())
        .unwrap_err()
        .to_string();
    assert!(error.contains("no tokenizer.json"), "{error}");
}

#[test]
fn without_a_network_the_error_gives_advice() {
    let cache = tempfile::tempdir().unwrap();
    // The port was free a moment ago, so no server listens on it.
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let error = pull_from(
        &format!("http://127.0.0.1:{port}"),
        MODEL,
        None,
        cache.path(),
    )
    .unwrap_err();
    assert!(matches!(error, EmbedError::ModelUnavailable { .. }));
    let text = error.to_string();
    assert!(
        text.contains("cannot be reached") && text.contains("clipdb models pull"),
        "{text}"
    );
    let error = pull_from("http://127.0.0.1:1", "no-such-model", None, cache.path()).unwrap_err();
    assert!(
        error.to_string().contains("nor a name on the hub"),
        "{error}"
    );
}

#[test]
fn pulls_open_clip_by_its_own_names() {
    let hub = FakeHub::start(&[
        ("open_clip_config.json", b"{}"),
        // Another library's configuration, as in timm's repositories.
        ("config.json", br#"{"architecture": "vit"}"#),
        ("tokenizer.json", b"{}"),
        ("open_clip_model.safetensors", b"weights"),
        (WEIGHTS, b"another library's"),
    ]);
    let cache = tempfile::tempdir().unwrap();
    let folder = pull_from(&hub.address, MODEL, None, cache.path()).unwrap();
    assert!(folder.join("open_clip_model.safetensors").exists());
    assert!(folder.join("tokenizer.json").exists());
    assert!(!folder.join(WEIGHTS).exists());
}

#[test]
fn pulls_the_modules_of_a_sentence_model() {
    let modules =
        br#"[{"path": "", "type": "x.Transformer"}, {"path": "1_Pooling", "type": "x.Pooling"},
        {"path": "2_Normalize", "type": "x.Normalize"}]"#;
    let hub = FakeHub::start(&[
        ("config.json", br#"{"model_type": "bert"}"#),
        ("modules.json", modules),
        (
            "1_Pooling/config.json",
            br#"{"pooling_mode_cls_token": true}"#,
        ),
        ("tokenizer.json", b"{}"),
        (WEIGHTS, b"weights"),
    ]);
    let cache = tempfile::tempdir().unwrap();
    let folder = pull_from(&hub.address, MODEL, None, cache.path()).unwrap();
    let pooling = fs::read_to_string(folder.join("1_Pooling/config.json")).unwrap();
    assert!(pooling.contains("cls"), "{pooling}");
}

#[test]
fn a_module_cannot_name_a_folder_outside() {
    let hub = FakeHub::start(&[
        ("config.json", br#"{"model_type": "bert"}"#),
        (
            "modules.json",
            br#"[{"path": "../evil", "type": "x.Pooling"}]"#,
        ),
    ]);
    let cache = tempfile::tempdir().unwrap();
    let error = pull_from(&hub.address, MODEL, None, cache.path()).unwrap_err();
    assert!(error.to_string().contains("evil"), "{error}");
}

#[test]
fn pulls_a_text_tower_and_its_image_tower() {
    let hub = FakeHub::start(&[
        ("config.json", br#"{"model_type": "M-CLIP"}"#),
        ("preprocessor_config.json", b"{}"),
        ("tokenizer.json", b"{}"),
        ("pytorch_model.bin", b"weights"),
    ]);
    let cache = tempfile::tempdir().unwrap();
    let folder = pull_from(&hub.address, MODEL, Some("owner/other"), cache.path()).unwrap();
    for file in ["text/pytorch_model.bin", "image/pytorch_model.bin"] {
        assert!(folder.join(file).exists(), "{file}");
    }
    assert!(hub.seen("GET /owner/other/").len() >= 3);
    assert!(cache::find(MODEL, cache.path()).is_some());
}
