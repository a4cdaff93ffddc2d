//! Graphs as towers. A graph with both towers gets the smallest possible input for the unused one.
//!
//! A graph has no yield points: a search waits for the complete batch.

use std::sync::Arc;

use tch::{Kind, TchError, Tensor};

use super::graph::{Feed, Graph, Role};
use crate::EmbedError;
use crate::towers::{ImageTower, Pooling, TextTower, TokenBatch, YieldPoint};

/// Exporters' names for an output with one row per text.
const TEXT_OUTPUTS: [&str; 3] = ["text_embeds", "sentence_embedding", "text_features"];
/// Exporters' names for an output with one row per token, which has to be pooled.
const TOKEN_OUTPUTS: [&str; 2] = ["last_hidden_state", "token_embeddings"];
/// Exporters' names for an output with one row per image.
const IMAGE_OUTPUTS: [&str; 2] = ["image_embeds", "image_features"];
/// The output of the model's own pooler, one row per text or image (SigLIP).
const POOLER_OUTPUT: &str = "pooler_output";

/// Facts about a graph that its folder contains.
pub(crate) struct GraphContext {
    /// The path for messages.
    pub file: String,
    /// The side of the images in pixels, if the graph does not fix it.
    pub side: usize,
    /// Whether `pooler_output` is in the shared space of texts and images.
    pub pooler_is_shared: bool,
}

pub(crate) struct OnnxText {
    graph: Arc<Graph>,
    output: String,
    /// Set if the output has one row per token.
    pooling: Option<Pooling>,
    context_length: usize,
    /// The side of the blank image for a graph with both towers, in pixels.
    side: usize,
    width: i64,
}

pub(crate) struct OnnxImage {
    graph: Arc<Graph>,
    output: String,
    side: usize,
    width: i64,
}

impl OnnxText {
    /// `context_length` applies if the graph does not fix it, `pooling` if the output has one row
    /// per token.
    pub fn new(
        graph: Arc<Graph>,
        context: &GraphContext,
        context_length: usize,
        pooling: Option<Pooling>,
    ) -> Result<Self, EmbedError> {
        if !graph.takes(Role::Tokens) {
            return Err(EmbedError::file(
                &context.file,
                "it has no input for token ids",
            ));
        }
        let names = [&TEXT_OUTPUTS[..], context.pooler_outputs(), &TOKEN_OUTPUTS].concat();
        let mut tower = Self {
            output: output(&graph, &context.file, &names)?,
            pooling: None,
            context_length: graph.length.unwrap_or(context_length),
            graph,
            side: context.side,
            width: 0,
        };
        let shape = tower
            .run(1, 2, vec![0, 0], vec![1, 1])
            .map_err(|reason| EmbedError::file(&context.file, reason))?
            .size();
        let refuse = |reason: &str| {
            let output = &tower.output;
            let reason = format!("the output '{output}' has the shape {shape:?}, {reason}");
            EmbedError::file(&context.file, reason)
        };
        let (pooling, width) = match (shape.as_slice(), pooling) {
            ([_, width], _) => (None, *width),
            ([_, _, width], Some(pooling)) => (Some(pooling), *width),
            ([_, _, _], None) => {
                return Err(refuse(
                    "one row per token, and its pooling is unknown: export CLIP's with its \
                     projection, or add modules.json and 1_Pooling/config.json of a sentence model",
                ));
            }
            _ => return Err(refuse("neither one row per text nor one per token")),
        };
        (tower.pooling, tower.width) = (pooling, width);
        Ok(tower)
    }

    /// Whether the pooling is done here, so that the layers after it are not part of the graph.
    pub fn pools(&self) -> bool {
        self.pooling.is_some()
    }

    fn run(
        &self,
        texts: usize,
        length: usize,
        ids: Vec<i64>,
        mask: Vec<i64>,
    ) -> Result<Tensor, String> {
        let fixed = self.graph.length.unwrap_or(length);
        let (images, side) = match self.graph.takes(Role::Pixels) {
            true => (1, self.side),
            false => (0, 0),
        };
        let feed = Feed {
            texts,
            length: fixed,
            ids: padded(&ids, length, fixed),
            mask: padded(&mask, length, fixed),
            images,
            side,
            pixels: vec![0.0; images * 3 * side * side],
        };
        let [found] = self.graph.run([&self.output], &feed)?;
        Ok(found)
    }
}

impl TextTower for OnnxText {
    fn forward(&self, batch: &TokenBatch, yield_point: YieldPoint<'_>) -> tch::Result<Tensor> {
        yield_point();
        let (texts, length) = (batch.rows().len(), batch.longest());
        let ids = Vec::<i64>::try_from(&batch.ids.f_view(-1)?)?;
        let mask = batch.mask()?;
        let mask_values = match &mask {
            Some(mask) => Vec::<i64>::try_from(&mask.f_to_kind(Kind::Int64)?.f_view(-1)?)?,
            None => vec![1; ids.len()],
        };
        let longest = usize::try_from(length).unwrap_or_default();
        let found = self.run(texts, longest, ids, mask_values).map_err(failed)?;
        match self.pooling {
            // A graph with a fixed length has rows past the longest text.
            Some(pooling) => pooling.forward(&found.f_narrow(1, 0, length)?, batch, mask.as_ref()),
            None => Ok(found),
        }
    }

    fn width(&self) -> i64 {
        self.width
    }

    fn context_length(&self) -> usize {
        self.context_length
    }
}

impl OnnxImage {
    pub fn new(graph: Arc<Graph>, context: &GraphContext) -> Result<Self, EmbedError> {
        if !graph.takes(Role::Pixels) {
            return Err(EmbedError::file(
                &context.file,
                "it has no input for pixels",
            ));
        }
        let names = [&IMAGE_OUTPUTS[..], context.pooler_outputs()].concat();
        let mut tower = Self {
            output: output(&graph, &context.file, &names)?,
            side: graph.side.unwrap_or(context.side),
            graph,
            width: 0,
        };
        let blank = vec![0.0; 3 * tower.side * tower.side];
        let shape = tower
            .run(1, blank)
            .map_err(|reason| EmbedError::file(&context.file, reason))?
            .size();
        let [_, width] = shape[..] else {
            return Err(EmbedError::file(
                &context.file,
                format!(
                    "the output '{}' has the shape {shape:?}, not one row per image: export the \
                     model with its projection or pooling",
                    tower.output
                ),
            ));
        };
        tower.width = width;
        Ok(tower)
    }

    fn run(&self, images: usize, pixels: Vec<f32>) -> Result<Tensor, String> {
        let texts = usize::from(self.graph.takes(Role::Tokens));
        let length = self.graph.length.unwrap_or(2);
        let feed = Feed {
            texts,
            length,
            ids: vec![0; texts * length],
            mask: vec![1; texts * length],
            images,
            side: self.side,
            pixels,
        };
        let [found] = self.graph.run([&self.output], &feed)?;
        Ok(found)
    }
}

impl ImageTower for OnnxImage {
    fn forward(&self, pixels: &Tensor, yield_point: YieldPoint<'_>) -> tch::Result<Tensor> {
        yield_point();
        let images = usize::try_from(pixels.size4()?.0).unwrap_or_default();
        let values = Vec::<f32>::try_from(&pixels.f_to_kind(Kind::Float)?.f_reshape([-1])?)?;
        self.run(images, values).map_err(failed)
    }

    fn width(&self) -> i64 {
        self.width
    }

    fn image_size(&self) -> usize {
        self.side
    }
}

impl GraphContext {
    fn pooler_outputs(&self) -> &'static [&'static str] {
        match self.pooler_is_shared {
            true => &[POOLER_OUTPUT],
            false => &[],
        }
    }
}

fn output(graph: &Graph, file: &str, names: &[&str]) -> Result<String, EmbedError> {
    graph.output(names).map(str::to_owned).ok_or_else(|| {
        let (has, wanted) = (graph.outputs(), names.join(" or "));
        EmbedError::file(
            file,
            format!("its outputs are {has}, and none of them is {wanted}"),
        )
    })
}

fn failed(reason: String) -> TchError {
    TchError::Torch(format!("ONNX Runtime: {reason}"))
}

/// Pads rows of `length` values with zeros to `fixed`.
fn padded(values: &[i64], length: usize, fixed: usize) -> Vec<i64> {
    let mut rows = Vec::with_capacity(values.len() / length.max(1) * fixed);
    for row in values.chunks(length.max(1)) {
        rows.extend_from_slice(row);
        rows.resize(rows.len() + fixed.saturating_sub(row.len()), 0);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::padded;

    #[test]
    fn texts_are_padded_to_the_length_of_the_graph() {
        assert_eq!(padded(&[1, 2, 3, 4], 2, 3), [1, 2, 0, 3, 4, 0]);
        assert_eq!(padded(&[1, 2, 3, 4], 2, 2), [1, 2, 3, 4]);
    }
}
