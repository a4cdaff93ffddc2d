//! Encodes values as terms of a column's dictionary. The byte order of terms is the order of values.
//!
//! | first character | value | rest |
//! |---|---|---|
//! | `b` | a boolean | `0` or `1` |
//! | `d` | an instant, if the field is declared as `date` | nanoseconds since 1970 with a bias, in hex |
//! | `g` | a point: an object with `lat` and `lon` | the terms of both numbers |
//! | `n` | a number | see [`number`] |
//! | `s` | a string | the string, or its beginning and a digest if it is longer than [`LONGEST`] |
//! | `~` | a marker of the kind of a field without a value | `a` an array, `n` null, `o` an object |
//!
//! One dictionary for all types makes every comparison exact: tantivy's own numeric columns convert
//! 2^53 + 1 to 2^53 if a float is in the same column.

use serde_json::{Number, Value};
use sha2::{Digest, Sha256};
use tantivy::time::OffsetDateTime;
use tantivy::time::format_description::well_known::Rfc3339;

use super::geo::Point;

/// Maximum length in bytes of a string that is encoded completely. Longer strings compare equal only
/// if they are equal, but only their beginning is ordered and searched. Tantivy silently truncates
/// terms at 64 KiB.
pub(crate) const LONGEST: usize = 16 << 10;

pub(crate) const ARRAY: &str = "~a";
pub(crate) const NULL: &str = "~n";
pub(crate) const OBJECT: &str = "~o";

/// Makes instants of the years 0 to 9999 positive.
const DATE_BIAS: i128 = 1 << 95;

/// The term of a string, number or boolean; `None` for other values.
pub(crate) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Bool(flag) => Some(boolean(*flag)),
        Value::Number(value) => Some(number(value)),
        Value::String(text) => Some(string(text)),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

pub(crate) fn boolean(flag: bool) -> String {
    if flag { "b1" } else { "b0" }.to_owned()
}

pub(crate) fn string(text: &str) -> String {
    if text.len() <= LONGEST {
        return format!("s{text}");
    }
    let digest = Sha256::digest(text);
    let mut term = format!("s{}", beginning(text));
    term.extend(digest.iter().map(|byte| format!("{byte:02x}")));
    term
}

/// The part of a string that is ordered and searched.
pub(crate) fn beginning(text: &str) -> &str {
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Sixteen hex digits of the largest float that is not above the number. If it is below, three more
/// digits hold the difference. Exact for every 64-bit integer and float, in one order.
pub(crate) fn number(number: &Number) -> String {
    let whole = number
        .as_i64()
        .map(i128::from)
        .or_else(|| number.as_u64().map(i128::from));
    match whole {
        Some(whole) => {
            let mut float = whole as f64;
            if float as i128 > whole {
                float = float.next_down();
            }
            let rest = whole - float as i128;
            if rest == 0 {
                format!("n{}", float_digits(float))
            } else {
                format!("n{}{rest:03x}", float_digits(float))
            }
        }
        // All other JSON numbers are finite floats.
        None => format!("n{}", float_digits(number.as_f64().unwrap_or(0.0))),
    }
}

fn float_digits(float: f64) -> String {
    // Negative zero is zero.
    let bits = (float + 0.0).to_bits();
    let ordered = if bits >> 63 == 0 {
        bits | 1 << 63
    } else {
        !bits
    };
    format!("{ordered:016x}")
}

fn read_float(digits: &str) -> Option<f64> {
    let ordered = u64::from_str_radix(digits, 16).ok()?;
    Some(f64::from_bits(if ordered >> 63 == 1 {
        ordered & !(1 << 63)
    } else {
        !ordered
    }))
}

pub(crate) fn point(point: Point) -> String {
    format!("g{}{}", float_digits(point.lat), float_digits(point.lon))
}

/// Lower and upper bound of the terms of all points between two latitudes.
pub(crate) fn latitudes(south: f64, north: f64) -> (String, String) {
    (
        format!("g{}", float_digits(south)),
        format!("g{}~", float_digits(north)),
    )
}

pub(crate) fn read_point(term: &str) -> Option<Point> {
    let (lat, lon) = term.strip_prefix('g')?.split_at_checked(16)?;
    Some(Point {
        lat: read_float(lat)?,
        lon: read_float(lon)?,
    })
}

/// The term of an RFC 3339 timestamp, or of the beginning of a day in UTC (`2024-05-01`).
pub(crate) fn date(text: &str) -> Option<String> {
    let instant = if text.len() == "2024-05-01".len() {
        OffsetDateTime::parse(&format!("{text}T00:00:00Z"), &Rfc3339)
    } else {
        OffsetDateTime::parse(text, &Rfc3339)
    };
    let biased = instant.ok()?.unix_timestamp_nanos() + DATE_BIAS;
    Some(format!("d{biased:024x}"))
}

/// The value of a term, an instant in UTC; `None` for markers and points.
pub(crate) fn value(term: &str) -> Option<Value> {
    let mut letters = term.chars();
    let kind = letters.next()?;
    let rest = letters.as_str();
    match kind {
        'b' => Some(Value::Bool(rest == "1")),
        's' => Some(Value::String(beginning(rest).to_owned())),
        'n' => read_number(rest).map(Value::Number),
        'd' => {
            let nanoseconds = i128::from_str_radix(rest, 16).ok()? - DATE_BIAS;
            let instant = OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).ok()?;
            instant.format(&Rfc3339).ok().map(Value::String)
        }
        _ => None,
    }
}

fn read_number(digits: &str) -> Option<Number> {
    let (float, rest) = digits.split_at_checked(16)?;
    let float = read_float(float)?;
    let rest = if rest.is_empty() {
        0
    } else {
        i128::from_str_radix(rest, 16).ok()?
    };
    if float.fract() == 0.0 {
        let whole = float as i128 + rest;
        if let Ok(whole) = i64::try_from(whole) {
            return Some(whole.into());
        }
        if let Ok(whole) = u64::try_from(whole) {
            return Some(whole.into());
        }
    }
    Number::from_f64(float)
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn any_number() -> impl Strategy<Value = Number> {
        let near = |middle: i128| {
            (-3000i128..3000).prop_filter_map("64 bits", move |step| {
                let whole = middle + step;
                i64::try_from(whole)
                    .map(Number::from)
                    .or_else(|_| u64::try_from(whole).map(Number::from))
                    .ok()
            })
        };
        prop_oneof![
            any::<i64>().prop_map(Number::from),
            any::<u64>().prop_map(Number::from),
            (prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL | prop::num::f64::ZERO)
                .prop_filter_map("finite", Number::from_f64),
            (-20i64..20).prop_map(|n| Number::from_f64(n as f64 / 2.0).unwrap()),
            (-20i64..20).prop_map(Number::from),
            near(0),
            near(1 << 53),
            near(-(1 << 53)),
            near(1 << 63),
            near(-(1 << 63)),
            near(1 << 64),
            Just(Number::from_f64(9007199254740992.0).unwrap()),
            Just(Number::from_f64(18446744073709551616.0).unwrap()),
            Just(Number::from_f64(-9223372036854775808.0).unwrap()),
        ]
    }

    /// Compares without a shared type.
    fn exactly(a: &Number, b: &Number) -> Ordering {
        let whole = |n: &Number| {
            n.as_i64()
                .map(i128::from)
                .or_else(|| n.as_u64().map(i128::from))
        };
        match (whole(a), whole(b)) {
            (Some(a), Some(b)) => a.cmp(&b),
            (Some(a), None) => whole_to_float(a, b.as_f64().unwrap()),
            (None, Some(b)) => whole_to_float(b, a.as_f64().unwrap()).reverse(),
            (None, None) => a.as_f64().partial_cmp(&b.as_f64()).unwrap(),
        }
    }

    fn whole_to_float(whole: i128, float: f64) -> Ordering {
        if float >= 2f64.powi(65) {
            Ordering::Less
        } else if float <= -2f64.powi(65) {
            Ordering::Greater
        } else {
            let floor = float.floor();
            whole.cmp(&(floor as i128)).then(if float > floor {
                Ordering::Less
            } else {
                Ordering::Equal
            })
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn numbers_keep_their_order(a in any_number(), b in any_number()) {
            prop_assert_eq!(number(&a).cmp(&number(&b)), exactly(&a, &b), "{} {}", a, b);
        }

        #[test]
        fn numbers_are_decoded_exactly(a in any_number()) {
            let Some(Value::Number(decoded)) = value(&number(&a)) else { panic!() };
            prop_assert_eq!(exactly(&decoded, &a), Ordering::Equal, "{} {}", decoded, a);
        }
    }

    #[test]
    fn dates_are_instants() {
        assert_eq!(date("2024-05-01T02:00:00+02:00"), date("2024-05-01"));
        assert!(date("1969-12-31T23:59:59.999999999Z") < date("1970-01-01"));
        assert!(date("0000-01-01") < date("9999-12-31T23:59:59Z"));
        assert_eq!(date("2024-13-01"), None);
        assert_eq!(date("yesterday"), None);
        assert_eq!(
            value(&date("2024-05-01T02:00:00+02:00").unwrap()),
            Some(json!("2024-05-01T00:00:00Z"))
        );
    }

    #[test]
    fn long_strings_differ_at_their_end() {
        let long = "é".repeat(LONGEST);
        let other = format!("{long}!");
        assert_eq!(string(&long), string(&long.clone()));
        assert_ne!(string(&long), string(&other));
        assert!(string(&long).len() < LONGEST + 100);
        assert_eq!(value(&string(&long)), Some(json!(beginning(&long))));
    }

    #[test]
    fn points_read_back() {
        let there = Point {
            lat: -33.5,
            lon: 151.25,
        };
        assert_eq!(read_point(&point(there)), Some(there));
        let (south, north) = latitudes(-33.5, -33.5);
        assert!(south < point(there) && point(there) < north);
    }
}
