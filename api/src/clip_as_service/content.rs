//! The part of a document that is encoded. As in CLIP-as-service, a text precedes an image.

use bytes::Bytes;
use clipdb_engine::{ImageSource, Input, png};

use crate::clip_as_service::message::{Content, Document, NdArray};
use crate::http::data_uri::decode_base64;
use crate::http::error::ApiError;

/// The document's text or image; `None` for an empty document, which `profile()` sends.
///
/// Unlike CLIP-as-service this opens no file, and leaves a URL to the engine, which fetches it if
/// URL ingest is enabled. Encodes images, so it does not belong on an async thread.
pub fn input_of(document: &Document) -> Result<Option<Input>, ApiError> {
    match &document.content {
        Some(Content::Text(text)) if !text.is_empty() => Ok(Some(Input::Text(text.clone()))),
        Some(Content::Blob(bytes)) if !bytes.is_empty() => {
            Ok(Some(Input::Image(bytes.clone().into())))
        }
        Some(Content::Tensor(tensor)) => image(tensor).map(Some),
        _ if document.uri.is_empty() => Ok(None),
        _ if document.uri.starts_with("data:") => {
            Ok(Some(Input::Image(decode_base64(&document.uri)?.into())))
        }
        _ if document.uri.contains("://") && !document.uri.starts_with("file:") => {
            Ok(Some(Input::Image(ImageSource::Url(document.uri.clone()))))
        }
        _ => Err(ApiError::PathRefused(document.uri.clone())),
    }
}

pub fn is_image(document: &Document) -> bool {
    matches!(
        document.content,
        Some(Content::Blob(_) | Content::Tensor(_))
    )
}

/// The image of a tensor [height, width] or [height, width, channels] of values from 0 to 255.
fn image(tensor: &NdArray) -> Result<Input, ApiError> {
    let numbers = tensor.numbers()?;
    let (height, width, channels) = match *without_ones(tensor.shape()) {
        [height, width] => (height, width, 1),
        [height, width, channels] => (height, width, channels),
        _ => {
            return Err(ApiError::InvalidField(format!(
                "a tensor of shape {:?} is not an image: send [height, width] or [height, width, channels]",
                tensor.shape()
            )));
        }
    };
    let pixels: Option<Vec<u8>> = numbers
        .into_iter()
        // Truncated, as by NumPy's cast.
        .map(|number| (0.0..256.0).contains(&number).then_some(number as u8))
        .collect();
    let pixels = pixels.ok_or_else(|| {
        ApiError::InvalidField("the values of an image's tensor must be from 0 to 255".to_owned())
    })?;
    let bytes = png(width, height, channels, &pixels).map_err(clipdb_engine::EmbedError::from)?;
    Ok(Input::Image(Bytes::from(bytes).into()))
}

/// The most channels of an image: RGBA.
const CHANNELS: u32 = 4;

/// Drops a batch axis and a trailing axis of length 1, where docarray drops every axis of length 1.
fn without_ones(shape: &[u32]) -> &[u32] {
    match shape {
        [1, rest @ ..] if rest.len() > 2 => without_ones(rest),
        [1, rest @ ..] if rest.len() == 2 && rest[0] > 1 && rest[1] > CHANNELS => rest,
        [rest @ .., 1] if rest.len() > 2 => without_ones(rest),
        _ => shape,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(uri: &str) -> Document {
        Document {
            uri: uri.to_owned(),
            ..Document::default()
        }
    }

    fn holding(content: Content) -> Document {
        Document {
            content: Some(content),
            uri: "/somewhere/else.png".to_owned(),
            ..Document::default()
        }
    }

    #[test]
    fn paths_are_refused() {
        for path in [
            "/etc/passwd",
            "a.png",
            "file:///etc/passwd",
            "../x",
            "C:\\x.png",
        ] {
            assert!(
                matches!(input_of(&at(path)), Err(ApiError::PathRefused(_))),
                "{path}"
            );
        }
        for url in ["http://169.254.169.254/", "https://x/y.png", "ftp://x/"] {
            assert!(
                matches!(input_of(&at(url)), Ok(Some(Input::Image(ImageSource::Url(found)))) if found == url),
                "{url}"
            );
        }
        let carried = input_of(&at("data:image/png;base64,aGk=")).unwrap();
        assert!(matches!(carried, Some(Input::Image(ImageSource::Bytes(bytes))) if bytes == "hi"));
    }

    #[test]
    fn content_precedes_a_uri() {
        let text = input_of(&holding(Content::Text("words".to_owned()))).unwrap();
        assert!(matches!(text, Some(Input::Text(text)) if text == "words"));
        let blob = input_of(&holding(Content::Blob("bytes".into()))).unwrap();
        assert!(matches!(blob, Some(Input::Image(ImageSource::Bytes(bytes))) if bytes == "bytes"));
        assert!(input_of(&Document::default()).unwrap().is_none());
    }

    #[test]
    fn axes_of_length_1_around_an_image_are_dropped() {
        for (shape, image) in [
            (&[1, 8, 9, 3][..], &[8, 9, 3][..]),
            (&[8, 9, 3, 1], &[8, 9, 3]),
            (&[1, 1, 8, 9, 3, 1], &[8, 9, 3]),
            (&[1, 8, 9], &[8, 9]),
            (&[1, 2, 3], &[1, 2, 3]),
            (&[8, 9, 1], &[8, 9, 1]),
            (&[1, 9], &[1, 9]),
            (&[2, 8, 9, 3], &[2, 8, 9, 3]),
        ] {
            assert_eq!(without_ones(shape), image, "{shape:?}");
        }
        let sparse = holding(Content::Tensor(NdArray::default()));
        let refused = input_of(&sparse).unwrap_err().to_string();
        assert!(refused.contains("sparse"), "{refused}");
    }

    #[test]
    fn a_tensor_is_an_image() {
        let tensor = |json: &str| {
            let tensor = serde_json::from_str(json).unwrap();
            input_of(&holding(Content::Tensor(tensor)))
        };
        let Some(Input::Image(ImageSource::Bytes(bytes))) =
            tensor("[[[1, 2, 3], [4, 5, 6]]]").unwrap()
        else {
            panic!("expected an image");
        };
        assert!(bytes.starts_with(b"\x89PNG"));
        assert!(tensor("[[0.5, 255.0]]").is_ok());
        assert!(tensor("[[true, false]]").is_ok());
        for wrong in ["[1, 2]", "[[256]]", "[[-1]]", "[[[1, 2, 3, 4, 5]]]", "[]"] {
            assert!(tensor(wrong).is_err(), "{wrong}");
        }
    }
}
