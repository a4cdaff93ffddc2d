//! Points on the Earth.

use serde_json::{Map, Value};

/// The mean radius of the Earth in metres (IUGG), as haversine formulas use it.
const EARTH_RADIUS_M: f64 = 6_371_008.8;

/// A point in degrees; north and east are positive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// From -90 to 90.
    pub lat: f64,
    /// From -180 to 180.
    pub lon: f64,
}

impl Point {
    /// `None` if a number is out of range.
    pub fn new(lat: f64, lon: f64) -> Option<Self> {
        let valid = (-90.0..=90.0).contains(&lat) && (-180.0..=180.0).contains(&lon);
        valid.then_some(Self { lat, lon })
    }

    /// The point of an object's `lat` and `lon`.
    pub(crate) fn of(object: &Map<String, Value>) -> Option<Self> {
        Self::new(object.get("lat")?.as_f64()?, object.get("lon")?.as_f64()?)
    }

    /// Distance along the surface in metres, by the haversine formula.
    pub fn distance_m(self, other: Self) -> f64 {
        let (from, to) = (self.lat.to_radians(), other.lat.to_radians());
        let up = ((to - from) / 2.0).sin();
        let across = ((other.lon - self.lon).to_radians() / 2.0).sin();
        let haversine = up * up + from.cos() * to.cos() * across * across;
        2.0 * EARTH_RADIUS_M * haversine.min(1.0).sqrt().asin()
    }

    /// A distance as degrees of latitude.
    pub(crate) fn degrees_of(distance_m: f64) -> f64 {
        (distance_m / EARTH_RADIUS_M).to_degrees()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_match_known_ones() {
        let paris = Point::new(48.8566, 2.3522).unwrap();
        let lyon = Point::new(45.7640, 4.8357).unwrap();
        assert!((paris.distance_m(lyon) - 391_500.0).abs() < 1_000.0);
        let west = Point::new(0.0, -179.9).unwrap();
        let east = Point::new(0.0, 179.9).unwrap();
        assert!((west.distance_m(east) - 22_239.0).abs() < 10.0);
        assert_eq!(Point::new(91.0, 0.0), None);
    }
}
