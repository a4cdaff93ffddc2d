//! The scale between cosines and logits, from a graph that puts out both: where it was
//! exported its weight became a constant without a name.

use tch::{Kind, Tensor};

use super::graph::{Feed, Graph, Role};
use crate::model::Scale;

const LOGITS: &str = "logits_per_image";
/// Texts that a line is laid through.
const TEXTS: usize = 8;
/// How far a logit may lie beside the line, as a part of the scale: cosines and logits in
/// f16 are rounded by about a thousandth.
const STRAIGHT: f64 = 0.01;

/// `bias` says whether the model adds one. `side` is that of its pictures, where the graph
/// fixes none.
///
/// `None` when the graph gives no logits, or they are no multiples of the cosines.
pub(crate) fn scale(graph: &Graph, side: usize, bias: bool) -> Option<Scale> {
    let outputs = [LOGITS, "text_embeds", "image_embeds"];
    let both = graph.takes(Role::Tokens) && graph.takes(Role::Pixels);
    if !both || !outputs.iter().all(|output| graph.puts_out(output)) {
        return None;
    }
    let (length, side) = (graph.length.unwrap_or(2), graph.side.unwrap_or(side));
    let feed = Feed {
        texts: TEXTS,
        length,
        // Other tokens from the first on: without an end of text, that is where CLIP reads.
        ids: (0..TEXTS as i64)
            .flat_map(|text| vec![text; length])
            .collect(),
        mask: vec![1; TEXTS * length],
        pictures: 1,
        side,
        pixels: vec![0.0; 3 * side * side],
    };
    let found = graph
        .run(outputs, &feed)
        .and_then(|[logits, texts, images]| {
            let points = || Ok((numbers(&logits)?, cosines(&texts, &images)?));
            points().map_err(|error: tch::TchError| error.to_string())
        });
    match found {
        Ok((logits, cosines)) => line(&cosines, &logits, bias),
        Err(error) => {
            tracing::warn!(%error, "the graph's logits cannot be read: its scale is not known");
            None
        }
    }
}

fn cosines(texts: &Tensor, images: &Tensor) -> tch::Result<Vec<f64>> {
    let unit = |rows: &Tensor| {
        let rows = rows.f_to_kind(Kind::Double)?;
        rows.f_div(&rows.f_norm_scalaropt_dim(2, [1i64].as_slice(), true)?)
    };
    numbers(&unit(texts)?.f_matmul(&unit(images)?.f_transpose(0, 1)?)?)
}

fn numbers(tensor: &Tensor) -> tch::Result<Vec<f64>> {
    Vec::try_from(&tensor.f_to_kind(Kind::Double)?.f_reshape([-1])?)
}

/// The line through the points, by least squares; without a bias it goes through the origin.
fn line(cosines: &[f64], logits: &[f64], bias: bool) -> Option<Scale> {
    let mean = |numbers: &[f64]| match bias {
        true => numbers.iter().sum::<f64>() / numbers.len() as f64,
        false => 0.0,
    };
    let points = || cosines.iter().zip(logits);
    let (x, y) = (mean(cosines), mean(logits));
    let together: f64 = points().map(|(c, l)| (c - x) * (l - y)).sum();
    let spread: f64 = cosines.iter().map(|c| (c - x).powi(2)).sum();
    let factor = together / spread;
    let offset = y - factor * x;
    let straight = points().all(|(c, l)| (l - factor * c - offset).abs() <= STRAIGHT * factor);
    (factor.is_finite() && factor > 0.0 && straight && cosines.len() == logits.len()).then_some(
        Scale {
            factor,
            bias: bias.then_some(offset),
            assumed: false,
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_with_and_without_a_bias() {
        let cosines = [0.1, -0.2, 0.3];
        let logits = |offset: f64| cosines.map(|cosine| 37.5 * cosine + offset);
        let scale = line(&cosines, &logits(0.0), false).unwrap();
        assert!((scale.factor - 37.5).abs() < 1e-9 && scale.bias.is_none());
        let scale = line(&cosines, &logits(-12.0), true).unwrap();
        assert!((scale.factor - 37.5).abs() < 1e-9 && (scale.bias.unwrap() + 12.0).abs() < 1e-9);
    }

    #[test]
    fn what_is_no_line_is_no_scale() {
        assert_eq!(line(&[0.1, -0.2, 0.3], &[1.0, 2.0, 3.0], false), None);
        assert_eq!(line(&[0.1, 0.1], &[1.0, 2.0], true), None);
        assert_eq!(line(&[0.0, 0.0], &[0.0, 0.0], false), None);
    }
}
