//! The call that a request names: `header.exec_endpoint`.

use crate::http::error::ApiError;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    Encode,
    Rank,
    Index,
    Search,
}

impl Call {
    pub fn name(self) -> &'static str {
        match self {
            Self::Encode => "encode",
            Self::Rank => "rank",
            Self::Index => "index",
            Self::Search => "search",
        }
    }
}

/// The retriever's other endpoints. Without an error the server would silently encode instead.
const RETRIEVERS: [(&str, &str); 8] = [
    (
        "update",
        "send the documents to /index, which replaces documents",
    ),
    ("delete", "use DELETE /collections/{name}/documents/{id}"),
    ("filter", "use GET /collections/{name}/documents?filter="),
    ("fill_embedding", "use POST /encode"),
    ("status", "use GET /ready and GET /collections"),
    (
        "clear",
        "use DELETE /collections/{name}/documents?filter=, or DELETE /collections/{name}",
    ),
    ("backup", "use POST /collections/{name}/snapshots"),
    ("restore", "use POST /collections/{name}/restore"),
];

/// Parses the call, and the model if the endpoint names one.
///
/// As in CLIP-as-service, any endpoint that is not another call encodes: `/`, which `profile()`
/// sends, `/encode`, `/anything`. Unlike there, `/rank/NAME` ranks (CLIP-as-service encodes and
/// returns no scores), and the name after `/encode/` is checked.
pub fn parse(endpoint: &str) -> Result<(Call, Option<&str>), ApiError> {
    let endpoint = endpoint.trim_matches('/');
    let (first, rest) = endpoint.split_once('/').unwrap_or((endpoint, ""));
    let model = Some(rest).filter(|name| !name.is_empty());
    match first {
        "encode" => Ok((Call::Encode, model)),
        "rank" => Ok((Call::Rank, model)),
        "index" if rest.is_empty() => Ok((Call::Index, None)),
        "search" if rest.is_empty() => Ok((Call::Search, None)),
        _ => match refused(endpoint) {
            Some(error) => Err(error),
            None => Ok((Call::Encode, None)),
        },
    }
}

/// The error for one of the retriever's endpoints that are not supported; it names the alternative.
pub fn refused(endpoint: &str) -> Option<ApiError> {
    let endpoint = endpoint.trim_matches('/');
    let found = RETRIEVERS.iter().find(|(name, _)| *name == endpoint);
    found.map(|(name, instead)| ApiError::NoSuchCall {
        endpoint: format!("/{name}"),
        instead,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_other_endpoint_encodes() {
        for endpoint in [
            "",
            "/",
            "/encode",
            "encode/",
            "/whatever",
            "/a/b",
            "/index/x",
        ] {
            assert_eq!(parse(endpoint).unwrap(), (Call::Encode, None), "{endpoint}");
        }
        assert_eq!(parse("/rank").unwrap(), (Call::Rank, None));
        assert_eq!(parse("/index").unwrap(), (Call::Index, None));
        assert_eq!(parse("/search").unwrap(), (Call::Search, None));
    }

    #[test]
    fn a_model_s_name_may_hold_slashes() {
        let named = (Call::Encode, Some("openai/clip-vit-base-patch32"));
        assert_eq!(
            parse("/encode/openai/clip-vit-base-patch32").unwrap(),
            named
        );
        assert_eq!(
            parse("/rank/clipdb-multilingual").unwrap(),
            (Call::Rank, Some("clipdb-multilingual"))
        );
    }

    #[test]
    fn unsupported_endpoints_name_the_alternative() {
        for (endpoint, instead) in [
            ("/delete", "DELETE /collections"),
            ("/clear", "DELETE /collections/{name}/documents?filter="),
            ("/backup", "POST /collections/{name}/snapshots"),
            ("/restore", "POST /collections/{name}/restore"),
        ] {
            let error = parse(endpoint).unwrap_err().to_string();
            assert!(
                error.contains(endpoint) && error.contains(instead),
                "{error}"
            );
        }
    }
}
