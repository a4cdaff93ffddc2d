//! Base64, plain or in a `data:` URI.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use crate::http::error::ApiError;

/// Decodes standard base64, with or without padding, line breaks or a `data:` prefix.
pub fn decode_base64(text: &str) -> Result<Bytes, ApiError> {
    let payload = match text.strip_prefix("data:") {
        Some(uri) => uri
            .split_once(";base64,")
            .map(|(_, payload)| payload)
            .ok_or_else(|| ApiError::InvalidBase64("the data URI is not base64".to_owned()))?,
        None => text,
    };
    let compact: String;
    let payload = if payload.contains(char::is_whitespace) {
        compact = payload.split_whitespace().collect();
        &compact
    } else {
        payload
    };
    let unpadded = payload.trim_end_matches('=');
    base64::engine::general_purpose::STANDARD_NO_PAD
        .decode(unpadded)
        .or_else(|_| STANDARD.decode(payload))
        .map(Bytes::from)
        .map_err(|error| ApiError::InvalidBase64(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_decoded_in_all_its_usual_forms() {
        for text in ["aGk", "aGk=", "a\nGk=", "data:image/png;base64,aGk="] {
            assert_eq!(
                decode_base64(text).unwrap(),
                Bytes::from_static(b"hi"),
                "{text}"
            );
        }
        assert!(matches!(
            decode_base64("a*b"),
            Err(ApiError::InvalidBase64(_))
        ));
        assert!(matches!(
            decode_base64("data:image/png,hi"),
            Err(ApiError::InvalidBase64(_))
        ));
    }
}
