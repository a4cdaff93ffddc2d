//! What a client has already: `If-None-Match`, `If-Modified-Since`; and a part of a body,
//! `Range` with `If-Range`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix_web::http::header::{self, ByteRangeSpec, EntityTag, HttpDate, IfModifiedSince};
use actix_web::http::header::{IfNoneMatch, IfRange, Range};
use actix_web::{HttpMessage, HttpRequest, HttpResponseBuilder};

/// What tells one state of a resource from another.
pub(super) struct Version {
    pub tag: EntityTag,
    /// `None` where that is not known to the second.
    pub modified: Option<HttpDate>,
}

impl Version {
    /// Bytes that are part of the program; compressed or not, they are the same to a client.
    pub fn of_content(content: &[u8]) -> Self {
        use std::hash::Hasher;
        let mut hasher = std::hash::DefaultHasher::new();
        hasher.write(content);
        Self {
            tag: EntityTag::new_weak(format!("{:016x}", hasher.finish())),
            modified: None,
        }
    }

    /// Whether the client has it, so that the answer is 304 without a body.
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

    /// The bytes of `length` that the client asks for.
    pub fn part_for(&self, request: &HttpRequest, length: u64) -> Part {
        let of_this = match request.get_header::<IfRange>() {
            _ if !request.headers().contains_key(header::IF_RANGE) => true,
            Some(IfRange::EntityTag(tag)) => tag.strong_eq(&self.tag),
            Some(IfRange::Date(date)) => self.modified.as_ref() == Some(&date),
            None => false,
        };
        match request.get_header::<Range>() {
            // Several parts, and other units, may be answered by the whole.
            Some(Range::Bytes(parts)) if of_this && parts.len() == 1 => {
                match (&parts[0], parts[0].to_satisfiable_range(length)) {
                    (_, Some((first, last))) => Part::Some { first, last },
                    // No range at all: as if it had not been sent.
                    (ByteRangeSpec::FromTo(first, last), None) if first > last => Part::Whole,
                    (_, None) => Part::Unsatisfiable,
                }
            }
            _ => Part::Whole,
        }
    }

    /// The headers that tell it.
    pub fn write<'a>(&self, answer: &'a mut HttpResponseBuilder) -> &'a mut HttpResponseBuilder {
        answer.insert_header(header::ETag(self.tag.clone()));
        if let Some(modified) = self.modified {
            answer.insert_header(header::LastModified(modified));
        }
        answer
    }
}

#[derive(Debug, PartialEq)]
pub(super) enum Part {
    Whole,
    Some { first: u64, last: u64 },
    Unsatisfiable,
}

/// The time of the last change for `Last-Modified`, from milliseconds since 1970. None within
/// two seconds of the change: another one might still come in the same second, and a client that
/// goes by the date would never see it.
pub(super) fn settled(milliseconds: u64) -> Option<HttpDate> {
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
            modified: settled(MODIFIED + 499),
        }
    }

    #[test]
    fn a_known_version_is_told_by_tag_before_date() {
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
    fn a_part_is_what_was_asked_of_this_version() {
        let part = |headers: &[(&'static str, &'static str)]| {
            let request = headers.iter().fold(TestRequest::get(), |request, header| {
                request.insert_header(*header)
            });
            version().part_for(&request.to_http_request(), 100)
        };
        let some = |first, last| Part::Some { first, last };
        assert_eq!(part(&[]), Part::Whole);
        assert_eq!(part(&[("range", "bytes=0-0")]), some(0, 0));
        assert_eq!(part(&[("range", "bytes=10-")]), some(10, 99));
        assert_eq!(part(&[("range", "bytes=-5")]), some(95, 99));
        assert_eq!(part(&[("range", "bytes=90-200")]), some(90, 99));
        assert_eq!(part(&[("range", "bytes=100-")]), Part::Unsatisfiable);
        assert_eq!(part(&[("range", "bytes=-0")]), Part::Unsatisfiable);
        assert_eq!(part(&[("range", "bytes=5-1")]), Part::Whole);
        assert_eq!(part(&[("range", "bytes=0-1, 5-6")]), Part::Whole);
        assert_eq!(part(&[("range", "lines=0-1")]), Part::Whole);
        assert_eq!(part(&[("range", "bytes=x")]), Part::Whole);
        assert_eq!(
            part(&[("range", "bytes=1-2"), ("if-range", "\"a\"")]),
            some(1, 2)
        );
        assert_eq!(
            part(&[("range", "bytes=1-2"), ("if-range", DATE)]),
            some(1, 2)
        );
        for other in ["\"b\"", "W/\"a\"", "Sun, 06 Nov 1994 08:49:36 GMT", "?"] {
            assert_eq!(
                part(&[("range", "bytes=1-2"), ("if-range", other)]),
                Part::Whole,
                "{other}"
            );
        }
    }

    #[test]
    fn a_change_of_this_moment_has_no_date_yet() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let now = u64::try_from(now.as_millis()).unwrap();
        assert!(settled(now).is_none());
        assert!(settled(now - 3000).is_some());
        assert!(settled(now + 60_000).is_none());
    }
}
