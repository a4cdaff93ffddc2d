//! Reads the API key from the settings, a file or standard input.

use std::io::Read;
use std::path::{Path, PathBuf};

use clipdb_api::ApiKey;

use super::error::{ConfigurationError, invalid_setting};

/// Bytes of the file that are read.
const MAX_FILE_BYTES: u64 = 4096;
const MIN_LENGTH: usize = 8;

/// The key `given`, or the content of `file` without surrounding white space.
pub(super) fn read(
    given: Option<String>,
    file: Option<PathBuf>,
) -> Result<Option<ApiKey>, ConfigurationError> {
    let (setting, key) = match (given, file) {
        (Some(_), Some(_)) => {
            return Err(invalid_setting(
                "api_key_file",
                "'api_key' is set too; set only one of the two",
            ));
        }
        (Some(key), None) => ("api_key", key),
        (None, Some(file)) => {
            let key = read_file(&file).map_err(|reason| invalid_setting("api_key_file", reason))?;
            ("api_key_file", key)
        }
        (None, None) => return Ok(None),
    };
    if key.len() < MIN_LENGTH {
        let reason = format!("the key is shorter than {MIN_LENGTH} characters");
        return Err(invalid_setting(setting, reason));
    }
    Ok(Some(ApiKey::new(&key)))
}

fn read_file(file: &Path) -> Result<String, String> {
    let unreadable = |error: std::io::Error| format!("cannot read {}: {error}", file.display());
    let mut text = String::new();
    if file == Path::new("-") {
        std::io::stdin()
            .lock()
            .take(MAX_FILE_BYTES)
            .read_to_string(&mut text)
    } else {
        std::fs::File::open(file)
            .and_then(|opened| opened.take(MAX_FILE_BYTES).read_to_string(&mut text))
    }
    .map_err(unreadable)?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_from_a_file_without_its_line_end() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        std::fs::write(&file, "a-long-secret\n").unwrap();
        let key = read(None, Some(file.clone())).unwrap().unwrap();
        assert!(key.matches("a-long-secret") && !key.matches("a-long-secret\n"));
        let both = read(Some("a-long-secret".into()), Some(file.clone()));
        assert!(both.unwrap_err().to_string().contains("api_key"));
        for content in ["", "\n", "short\n"] {
            std::fs::write(&file, content).unwrap();
            let refused = read(None, Some(file.clone())).unwrap_err().to_string();
            assert!(refused.contains("'api_key_file'"), "{refused}");
        }
        let absent = read(None, Some(folder.path().join("absent"))).unwrap_err();
        assert!(absent.to_string().contains("absent"), "{absent}");
        assert!(read(None, None).unwrap().is_none());
    }
}
