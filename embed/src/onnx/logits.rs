//! The scale between cosines and logits, fitted to the outputs of a graph. The export turned the
//! learned scale into a constant without a name.

use tch::{Kind, Tensor};

use super::graph::{Feed, Graph, Role};
use crate::model::Scale;

const LOGITS: &str = "logits_per_image";
/// The number of texts to fit a line to.
const TEXTS: usize = 8;
/// The largest deviation of a logit from the line, relative to the scale. The rounding of cosines
/// and logits in f16 is about a thousandth.
const TOLERANCE: f64 = 0.01;

/// Whether a model's logits have a bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogitBias {
    Absent,
    Present,
}

/// Fits the scale. `side` is the side of the images in pixels, if the graph does not fix it.
///
/// Returns `None` if the graph has no logits or if they are not linear in the cosines.
pub(crate) fn scale(graph: &Graph, side: usize, bias: LogitBias) -> Option<Scale> {
    let outputs = [LOGITS, "text_embeds", "image_embeds"];
    let both = graph.takes(Role::Tokens) && graph.takes(Role::Pixels);
    if !both || !outputs.iter().all(|output| graph.has_output(output)) {
        return None;
    }
    let (length, side) = (graph.length.unwrap_or(2), graph.side.unwrap_or(side));
    let feed = Feed {
        texts: TEXTS,
        length,
        // The texts differ in their first token: without an end-of-text token, CLIP's features are
        // those of the first position.
        ids: (0..TEXTS as i64)
            .flat_map(|text| vec![text; length])
            .collect(),
        mask: vec![1; TEXTS * length],
        images: 1,
        side,
        pixels: vec![0.0; 3 * side * side],
    };
    let found = graph
        .run(outputs, &feed)
        .and_then(|[logits, texts, images]| {
            let points = || Ok((values(&logits)?, cosines(&texts, &images)?));
            points().map_err(|error: tch::TchError| error.to_string())
        });
    match found {
        Ok((logits, cosines)) => fit_line(&cosines, &logits, bias),
        Err(error) => {
            tracing::warn!(%error, "the graph's logits cannot be read: its scale is unknown");
            None
        }
    }
}

fn cosines(texts: &Tensor, images: &Tensor) -> tch::Result<Vec<f64>> {
    let unit = |rows: &Tensor| {
        let rows = rows.f_to_kind(Kind::Double)?;
        rows.f_div(&rows.f_norm_scalaropt_dim(2, [1i64].as_slice(), true)?)
    };
    values(&unit(texts)?.f_matmul(&unit(images)?.f_transpose(0, 1)?)?)
}

fn values(tensor: &Tensor) -> tch::Result<Vec<f64>> {
    Vec::try_from(&tensor.f_to_kind(Kind::Double)?.f_reshape([-1])?)
}

/// Fits a line by least squares. Without a bias it passes through the origin.
fn fit_line(cosines: &[f64], logits: &[f64], bias: LogitBias) -> Option<Scale> {
    if cosines.len() != logits.len() {
        return None;
    }
    let mean = |values: &[f64]| match bias {
        LogitBias::Present => values.iter().sum::<f64>() / values.len() as f64,
        LogitBias::Absent => 0.0,
    };
    let points = || cosines.iter().zip(logits);
    let (x, y) = (mean(cosines), mean(logits));
    let covariance: f64 = points().map(|(c, l)| (c - x) * (l - y)).sum();
    let variance: f64 = cosines.iter().map(|c| (c - x).powi(2)).sum();
    let factor = covariance / variance;
    let offset = y - factor * x;
    let deviation = |(cosine, logit): (&f64, &f64)| (logit - factor * cosine - offset).abs();
    let is_linear = points().all(|point| deviation(point) <= TOLERANCE * factor);
    (factor.is_finite() && factor > 0.0 && is_linear).then_some(Scale {
        bias: (bias == LogitBias::Present).then_some(offset),
        ..Scale::learned(factor)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_with_and_without_a_bias() {
        let cosines = [0.1, -0.2, 0.3];
        let logits = |offset: f64| cosines.map(|cosine| 37.5 * cosine + offset);
        let scale = fit_line(&cosines, &logits(0.0), LogitBias::Absent).unwrap();
        assert!((scale.factor - 37.5).abs() < 1e-9 && scale.bias.is_none());
        let scale = fit_line(&cosines, &logits(-12.0), LogitBias::Present).unwrap();
        assert!((scale.factor - 37.5).abs() < 1e-9 && (scale.bias.unwrap() + 12.0).abs() < 1e-9);
    }

    #[test]
    fn logits_that_are_not_linear_have_no_scale() {
        let fit = |cosines: &[f64], logits: &[f64], bias| fit_line(cosines, logits, bias);
        let (x, y) = ([0.1, -0.2, 0.3], [1.0, 2.0, 3.0]);
        assert_eq!(fit(&x, &y, LogitBias::Absent), None);
        assert_eq!(fit(&[0.1, 0.1], &[1.0, 2.0], LogitBias::Present), None);
        assert_eq!(fit(&[0.0, 0.0], &[0.0, 0.0], LogitBias::Absent), None);
    }
}
