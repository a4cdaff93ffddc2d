//! Pillow's resampling filters.

use std::f64::consts::PI;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filter {
    Lanczos,
    Bilinear,
    /// Keys (1981) with a = −0.5, the Catmull-Rom spline.
    Bicubic,
    Box,
    Hamming,
}

impl Filter {
    /// The radius outside of which the weight is zero, in pixels.
    pub fn support(self) -> f64 {
        match self {
            Self::Lanczos => 3.0,
            Self::Bicubic => 2.0,
            Self::Bilinear | Self::Hamming => 1.0,
            Self::Box => 0.5,
        }
    }

    /// The weight at `x` pixels from the centre, not normalised.
    pub fn weight(self, x: f64) -> f64 {
        let distance = x.abs();
        match self {
            Self::Box => f64::from(x > -0.5 && x <= 0.5),
            _ if distance >= self.support() => 0.0,
            Self::Lanczos => sinc(x) * sinc(x / 3.0),
            Self::Bilinear => 1.0 - distance,
            Self::Bicubic => bicubic(distance),
            Self::Hamming => sinc(x) * (0.54 + 0.46 * (PI * x).cos()),
        }
    }
}

fn bicubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 {
        1.0
    } else {
        (PI * x).sin() / (PI * x)
    }
}
