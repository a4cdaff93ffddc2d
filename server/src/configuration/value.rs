//! Checks of single values.

use std::fmt::Display;
use std::net::{SocketAddr, ToSocketAddrs};
use std::ops::Shl;
use std::str::FromStr;

use super::error::{ConfigurationError, invalid_setting};

/// The value, which must not be less than `least`.
pub(super) fn at_least<T: PartialOrd + Display>(
    key: &'static str,
    value: T,
    least: T,
) -> Result<T, ConfigurationError> {
    if value < least {
        return Err(invalid_setting(
            key,
            format!("{value} is less than {least}"),
        ));
    }
    Ok(value)
}

/// The given value, which must not be less than `least`, or the default.
pub(super) fn at_least_or<T: PartialOrd + Display>(
    key: &'static str,
    given: Option<T>,
    least: T,
    default: T,
) -> Result<T, ConfigurationError> {
    given.map_or(Ok(default), |value| at_least(key, value, least))
}

/// A number of MiB, which must not be less than `least`, in bytes; the default is in bytes too.
pub(super) fn mebibytes_or<T: PartialOrd + Display + Shl<u32, Output = T>>(
    key: &'static str,
    given: Option<T>,
    least: T,
    default: T,
) -> Result<T, ConfigurationError> {
    given.map_or(Ok(default), |value| Ok(at_least(key, value, least)? << 20))
}

pub(super) fn parse<T: FromStr<Err: Display>>(
    key: &'static str,
    text: &str,
) -> Result<T, ConfigurationError> {
    text.parse()
        .map_err(|error: T::Err| invalid_setting(key, error))
}

/// The first address that `HOST:PORT` resolves to.
pub(super) fn address(key: &'static str, text: &str) -> Result<SocketAddr, ConfigurationError> {
    let mut found = text
        .to_socket_addrs()
        .map_err(|error| invalid_setting(key, format!("'{text}' is not HOST:PORT ({error})")))?;
    found
        .next()
        .ok_or_else(|| invalid_setting(key, format!("'{text}' resolves to no address")))
}
