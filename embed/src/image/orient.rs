//! EXIF orientation: converts sizes and regions of the upright image to those of the stored image.

use ::image::metadata::Orientation;

use super::resize::Region;

fn swaps_axes(orientation: Orientation) -> bool {
    matches!(
        orientation,
        Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH
    )
}

/// The size after the orientation is applied. The function is its own inverse.
pub(super) fn upright_size<T>(orientation: Orientation, width: T, height: T) -> (T, T) {
    if swaps_axes(orientation) {
        (height, width)
    } else {
        (width, height)
    }
}

/// The region of the stored image that shows `upright`, a region of the upright image of
/// `width` × `height` pixels.
pub(super) fn stored_region(
    orientation: Orientation,
    (width, height): (u64, u64),
    upright: Region,
) -> Region {
    let from_right = width - upright.left - u64::from(upright.width);
    let from_bottom = height - upright.top - u64::from(upright.height);
    let (left, top) = match orientation {
        Orientation::NoTransforms => (upright.left, upright.top),
        Orientation::FlipHorizontal => (from_right, upright.top),
        Orientation::Rotate180 => (from_right, from_bottom),
        Orientation::FlipVertical => (upright.left, from_bottom),
        Orientation::Rotate90 => (upright.top, from_right),
        Orientation::Rotate270 => (from_bottom, upright.left),
        Orientation::Rotate90FlipH => (upright.top, upright.left),
        Orientation::Rotate270FlipH => (from_bottom, from_right),
    };
    let (width, height) = upright_size(orientation, upright.width, upright.height);
    Region {
        left,
        top,
        width,
        height,
    }
}
