//! Where the API key comes from: the settings themselves, a file, or standard input.

use std::io::Read;
use std::path::{Path, PathBuf};

use clipdb_api::ApiKey;

use super::{ConfigurationError, wrong};

/// Bytes of the longest file that is taken for a key.
const LONGEST: u64 = 4096;
const SHORTEST: usize = 8;

/// The key of `given`, or of `file` without the white space around it.
pub(super) fn read(
    given: Option<String>,
    file: Option<PathBuf>,
) -> Result<Option<ApiKey>, ConfigurationError> {
    let (setting, key) = match (given, file) {
        (Some(_), Some(_)) => {
            return Err(wrong(
                "api_key_file",
                "'api_key' is given as well; give one",
            ));
        }
        (Some(key), None) => ("api_key", key),
        (None, Some(file)) => {
            let key = of_file(&file).map_err(|reason| wrong("api_key_file", reason))?;
            ("api_key_file", key)
        }
        (None, None) => return Ok(None),
    };
    if key.len() < SHORTEST {
        let reason = format!("the key is shorter than {SHORTEST} characters");
        return Err(wrong(setting, reason));
    }
    Ok(Some(ApiKey::new(&key)))
}

fn of_file(file: &Path) -> Result<String, String> {
    let unreadable = |error: std::io::Error| format!("{} can't be read: {error}", file.display());
    let mut text = String::new();
    if file == Path::new("-") {
        std::io::stdin()
            .lock()
            .take(LONGEST)
            .read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|opened| opened.take(LONGEST).read_to_string(&mut text))
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
