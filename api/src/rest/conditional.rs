//! Conditional requests: `If-None-Match`, `If-Modified-Since`, and `Range` with `If-Range`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix_web::http::header::{self, ByteRangeSpec, EntityTag, HttpDate, IfModifiedSince};
use actix_web::http::header::{IfNoneMatch, IfRange, Range};
use actix_web::{HttpMessage, HttpRequest, HttpResponseBuilder};

/// Identifies a version of a resource.
pub(super) struct Version {
    pub tag: EntityTag,
    /// `None` if it is not known to the second.
    pub modified: Option<HttpDate>,
}

impl Version {
    /// The version of bytes that are part of the program. The tag is weak: the compressed and the
    /// plain body share it.
    pub fn of_content(content: &[u8]) -> Self {
        use std::hash::Hasher;
        let mut hasher = std::hash::DefaultHasher::new();
        hasher.write(content);
        Self {
            tag: EntityTag::new_weak(format!("{:016x}", hasher.finish())),
            modified: None,
        }
    }

    /// Whether the client has this version, so that the response is 304 without a body.
    pub fn is_known_to(&self, request: &HttpRequest) -> bool {
        if request.headers().contains_key(header::IF_NONE_MATCH) {
            return match request.get_header::<IfNoneMatch>() {
                Some(IfNoneMatch::Any) => true,
                Some(IfNoneMatch::Items(tags)) => tags.iter().any(|tag| tag.weak_eq(&self.tag)),
                None => false,
            };
        }
        match (request.get_header::<IfModifiedSince>(), &self.modified) {
            (Some(IfModifiedSince(since)), Some(modified)) => *modified <= since,
            _ => false,
        }
    }

    /// The range of `length` bytes that the client requests.
    pub fn range_for(&self, request: &HttpRequest, length: u64) -> ByteRange {
        let is_current = match request.get_header::<IfRange>() {
            _ if !request.headers().contains_key(header::IF_RANGE) => true,
            Some(IfRange::EntityTag(tag)) => tag.strong_eq(&self.tag),
            Some(IfRange::Date(date)) => self.modified.as_ref() == Some(&date),
            None => false,
        };
        match request.get_header::<Range>() {
            // A server may ignore several ranges, and other units.
            Some(Range::Bytes(parts)) if is_current && parts.len() == 1 => {
                match (&parts[0], parts[0].to_satisfiable_range(length)) {
                    (_, Some((first, last))) => ByteRange::Partial { first, last },
                    // An invalid range is ignored.
                    (ByteRangeSpec::FromTo(first, last), None) if first > last => ByteRange::Full,
                    (_, None) => ByteRange::Unsatisfiable,
                }
            }
            _ => ByteRange::Full,
        }
    }

    /// Adds the headers `ETag` and `Last-Modified`.
    pub fn write<'a>(&self, answer: &'a mut HttpResponseBuilder) -> &'a mut HttpResponseBuilder {
        answer.insert_header(header::ETag(self.tag.clone()));
        if let Some(modified) = self.modified {
            answer.insert_header(header::LastModified(modified));
        }
        answer
    }
}

#[derive(Debug, PartialEq)]
pub(super) enum ByteRange {
    Full,
    Partial { first: u64, last: u64 },
    Unsatisfiable,
}

/// The value of `Last-Modified`, from the milliseconds since 1970 of the last change. `None` within
/// two seconds of the change: the resource might change again in the same second, which a client
/// that compares dates would miss.
pub(super) fn last_modified(milliseconds: u64) -> Option<HttpDate> {
    let changed = UNIX_EPOCH + Duration::from_millis(milliseconds);
    let age = SystemTime::now().duration_since(changed).ok()?;
    (age >= Duration::from_secs(2))
        .then(|| HttpDate::from(UNIX_EPOCH + Duration::from_secs(milliseconds / 1000)))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    const MODIFIED: u64 = 784_111_777_000;
    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    fn version() -> Version {
        Version {
            tag: EntityTag::new_strong("a".to_owned()),
            modified: last_modified(MODIFIED + 499),
        }
    }

    #[test]
    fn a_tag_takes_precedence_over_a_date() {
        let known = |headers: &[(&'static str, &'static str)]| {
            let request = headers.iter().fold(TestRequest::get(), |request, header| {
                request.insert_header(*header)
            });
            version().is_known_to(&request.to_http_request())
        };
        for tags in ["\"a\"", "W/\"a\"", "\"b\", \"a\"", "*"] {
            assert!(known(&[("if-none-match", tags)]), "{tags}");
        }
        for tags in ["\"b\"", "a", "\"aa\""] {
            assert!(!known(&[("if-none-match", tags)]), "{tags}");
            assert!(!known(&[
                ("if-none-match", tags),
                ("if-modified-since", DATE)
            ]));
        }
        assert!(known(&[("if-modified-since", DATE)]));
        assert!(known(&[(
            "if-modified-since",
            "Sun, 06 Nov 2044 08:49:37 GMT"
        )]));
        assert!(!known(&[(
            "if-modified-since",
            "Sun, 06 Nov 1994 08:49:36 GMT"
        )]));
        assert!(!known(&[("if-modified-since", "yesterday")]));
        assert!(!known(&[]));
    }

    #[test]
    fn a_range_is_of_the_current_version() {
        let range = |headers: &[(&'static str, &'static str)]| {
            let request = headers.iter().fold(TestRequest::get(), |request, header| {
                request.insert_header(*header)
            });
            version().range_for(&request.to_http_request(), 100)
        };
        let some = |first, last| ByteRange::Partial { first, last };
        assert_eq!(range(&[]), ByteRange::Full);
        assert_eq!(range(&[("range", "bytes=0-0")]), some(0, 0));
        assert_eq!(range(&[("range", "bytes=10-")]), some(10, 99));
        assert_eq!(range(&[("range", "bytes=-5")]), some(95, 99));
        assert_eq!(range(&[("range", "bytes=90-200")]), some(90, 99));
        assert_eq!(range(&[("range", "bytes=100-")]), ByteRange::Unsatisfiable);
        assert_eq!(range(&[("range", "bytes=-0")]), ByteRange::Unsatisfiable);
        assert_eq!(range(&[("range", "bytes=5-1")]), ByteRange::Full);
        assert_eq!(range(&[("range", "bytes=0-1, 5-6")]), ByteRange::Full);
        assert_eq!(range(&[("range", "lines=0-1")]), ByteRange::Full);
        assert_eq!(range(&[("range", "bytes=x")]), ByteRange::Full);
        assert_eq!(
            range(&[("range", "bytes=1-2"), ("if-range", "\"a\"")]),
            some(1, 2)
        );
        assert_eq!(
            range(&[("range", "bytes=1-2"), ("if-range", DATE)]),
            some(1, 2)
        );
        for other in ["\"b\"", "W/\"a\"", "Sun, 06 Nov 1994 08:49:36 GMT", "?"] {
            assert_eq!(
                range(&[("range", "bytes=1-2"), ("if-range", other)]),
                ByteRange::Full,
                "{other}"
            );
        }
    }

    #[test]
    fn a_recent_change_has_no_date_yet() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let now = u64::try_from(now.as_millis()).unwrap();
        assert!(last_modified(now).is_none());
        assert!(last_modified(now - 3000).is_some());
        assert!(last_modified(now + 60_000).is_none());
    }
}
