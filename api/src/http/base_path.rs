//! The path under which a reverse proxy serves the server (`--base-path /clipdb`): the server
//! removes it from requests, and links in responses begin with it.

use std::fmt;
use std::str::FromStr;

/// First segments of the API's own routes: with such a base path a request would be ambiguous.
const TAKEN: [&str; 21] = [
    "aliases",
    "collections",
    "docs",
    "documents",
    "dry_run",
    "encode",
    "favicon.ico",
    "health",
    "index",
    "keys",
    "mcp",
    "metrics",
    "multi-search",
    "openapi.json",
    "page",
    "post",
    "rank",
    "ready",
    "search",
    "tasks",
    "v1",
];

/// Empty, or `/a` or `/a/b`, without a trailing slash.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BasePath(String);

impl BasePath {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The rest of `path` after the base path: empty, or a path.
    pub(crate) fn rest_of<'a>(&self, path: &'a str) -> Option<&'a str> {
        if self.0.is_empty() {
            return None;
        }
        path.strip_prefix(&self.0)
            .filter(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl fmt::Display for BasePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum BasePathError {
    #[error(
        "'{0}' is not a path such as /clipdb: letters, digits, '-', '_', '.' and '~' between slashes"
    )]
    Malformed(String),
    #[error("'/{0}' is a route of the API; choose another path")]
    Taken(String),
}

impl FromStr for BasePath {
    type Err = BasePathError;

    fn from_str(text: &str) -> Result<Self, BasePathError> {
        let path = text.strip_suffix('/').unwrap_or(text);
        if path.is_empty() {
            return Ok(Self::default());
        }
        let malformed = || BasePathError::Malformed(text.to_owned());
        let segments: Vec<&str> = path
            .strip_prefix('/')
            .ok_or_else(malformed)?
            .split('/')
            .collect();
        let is_segment = |segment: &&str| {
            !matches!(*segment, "" | "." | "..")
                && segment
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte))
        };
        if !segments.iter().all(is_segment) {
            return Err(malformed());
        }
        match segments.first() {
            Some(first) if TAKEN.contains(first) => Err(BasePathError::Taken((*first).to_owned())),
            _ => Ok(Self(path.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_path_is_a_plain_path() {
        for (text, expected) in [
            ("", ""),
            ("/", ""),
            ("/clipdb", "/clipdb"),
            ("/clipdb/", "/clipdb"),
            ("/a/b.c", "/a/b.c"),
        ] {
            assert_eq!(text.parse::<BasePath>().unwrap().as_str(), expected);
        }
        for text in [
            "clipdb", "//", "/a//b", "/a/../b", "/a b", "/a?b", "/ä", "/%41",
        ] {
            assert!(
                matches!(text.parse::<BasePath>(), Err(BasePathError::Malformed(_))),
                "{text}"
            );
        }
        for text in ["/collections", "/v1/x", "/search"] {
            assert!(
                matches!(text.parse::<BasePath>(), Err(BasePathError::Taken(_))),
                "{text}"
            );
        }
    }

    #[test]
    fn only_complete_segments_are_removed() {
        let base: BasePath = "/a".parse().unwrap();
        assert_eq!(base.rest_of("/a"), Some(""));
        assert_eq!(base.rest_of("/a/"), Some("/"));
        assert_eq!(base.rest_of("/a/search"), Some("/search"));
        assert_eq!(base.rest_of("/ab/search"), None);
        assert_eq!(base.rest_of("/search"), None);
        assert_eq!(BasePath::default().rest_of("/search"), None);
    }
}
