//! Conversion of luminance and colour difference (YCbCr) to RGB, for data outside of JPEG.

use super::layout::Layout;

/// Expands one row of subsampled groups to rows of pixels. A group stores its luminances first,
/// then the colour difference that they share.
pub(super) fn spread(layout: &Layout<'_>, row: &[u8]) -> Vec<Vec<u8>> {
    let (across, down) = (layout.subsampling.0 as usize, layout.subsampling.1 as usize);
    let width = layout.chunk_width as usize;
    let mut rows = vec![Vec::with_capacity(3 * (width + across)); down];
    for group in row.chunks_exact(across * down + 2) {
        let (luminances, difference) = group.split_at(across * down);
        for (row, luminances) in rows.iter_mut().zip(luminances.chunks_exact(across)) {
            for luminance in luminances {
                row.extend([*luminance, difference[0], difference[1]]);
            }
        }
    }
    for row in &mut rows {
        row.truncate(3 * width);
    }
    rows
}

/// Converts a pixel to RGB.
pub(super) fn to_rgb(layout: &Layout<'_>, [luminance, blue, red]: [u8; 3]) -> [u8; 3] {
    let codes = &layout.black_white;
    let stretched = |code: u8, component: usize, range: f32| {
        let (black, white) = (codes[2 * component], codes[2 * component + 1]);
        let width = if white == black { 1.0 } else { white - black };
        (f32::from(code) - black) * range / width
    };
    let luminance = stretched(luminance, 0, 255.0);
    let (blue, red) = (stretched(blue, 1, 127.0), stretched(red, 2, 127.0));
    let [of_red, of_green, of_blue] = layout.luminance;
    let red = luminance + red * (2.0 - 2.0 * of_red);
    let blue = luminance + blue * (2.0 - 2.0 * of_blue);
    let of_green = if of_green == 0.0 { 1.0 } else { of_green };
    let green = (luminance - of_red * red - of_blue * blue) / of_green;
    // The conversion saturates, and maps NaN to 0.
    [red, green, blue].map(|value| value.round() as u8)
}
