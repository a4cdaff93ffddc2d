//! Graphs as towers. A graph of both halves is fed the smallest other half.
//!
//! A graph runs whole: there is no pause in it for a search, which waits for the batch.

use std::sync::Arc;

use tch::{Kind, TchError, Tensor};

use super::graph::{Feed, Graph, Role};
use crate::EmbedError;
use crate::towers::{ImageTower, Pause, Pooling, TextTower, TokenBatch};

/// What exporters call a row a text.
const TEXT_OUTPUTS: [&str; 3] = ["text_embeds", "sentence_embedding", "text_features"];
/// What they call a row a token, which is yet to be pooled.
const TOKEN_OUTPUTS: [&str; 2] = ["last_hidden_state", "token_embeddings"];
const IMAGE_OUTPUTS: [&str; 2] = ["image_embeds", "image_features"];
/// A row a text or picture where the model pools by what it calls so (SigLIP).
const POOLER_OUTPUT: &str = "pooler_output";

/// What the folder tells of a graph.
pub(crate) struct Told<'a> {
    /// For messages.
    pub file: &'a str,
    /// Pixels of a picture's side, where the graph fixes none.
    pub side: usize,
    /// Whether `pooler_output` is in the space that texts and pictures share.
    pub pooler: bool,
}

pub(crate) struct OnnxText {
    graph: Arc<Graph>,
    output: String,
    /// Where the output is a row a token.
    pooling: Option<Pooling>,
    context_length: usize,
    /// Of the picture beside the texts, where the graph wants one.
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
    /// `context_length` holds where the graph fixes none; `pooling` is used where it puts out
    /// a row a token.
    pub fn new(
        graph: Arc<Graph>,
        told: &Told<'_>,
        context_length: usize,
        pooling: Option<Pooling>,
    ) -> Result<Self, EmbedError> {
        if !graph.takes(Role::Tokens) {
            return Err(EmbedError::file(told.file, "it takes no token numbers"));
        }
        let names = [&TEXT_OUTPUTS[..], told.pooler(), &TOKEN_OUTPUTS].concat();
        let mut tower = Self {
            output: output(&graph, told.file, &names)?,
            pooling: None,
            context_length: graph.length.unwrap_or(context_length),
            graph,
            side: told.side,
            width: 0,
        };
        let shape = tower
            .run(1, 2, vec![0, 0], vec![1, 1])
            .map_err(|reason| EmbedError::file(told.file, reason))?
            .size();
        let refuse = |reason: &str| {
            let output = &tower.output;
            let reason = format!("the output '{output}' has the shape {shape:?}, {reason}");
            EmbedError::file(told.file, reason)
        };
        let (pooling, width) = match (shape.as_slice(), pooling) {
            ([_, width], _) => (None, *width),
            ([_, _, width], Some(pooling)) => (Some(pooling), *width),
            ([_, _, _], None) => {
                return Err(refuse(
                    "a row a token, and nothing says how they become one vector: export CLIP's \
                     with its projection; beside a model of sentences put its modules.json and \
                     1_Pooling/config.json",
                ));
            }
            _ => return Err(refuse("and not one row a text or one a token")),
        };
        (tower.pooling, tower.width) = (pooling, width);
        Ok(tower)
    }

    /// Whether its rows are pooled here, and what lies behind the pooling is still to come.
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
        let (pictures, side) = match self.graph.takes(Role::Pixels) {
            true => (1, self.side),
            false => (0, 0),
        };
        let feed = Feed {
            texts,
            length: fixed,
            ids: padded(&ids, length, fixed),
            mask: padded(&mask, length, fixed),
            pictures,
            side,
            pixels: vec![0.0; pictures * 3 * side * side],
        };
        let [found] = self.graph.run([&self.output], &feed)?;
        Ok(found)
    }
}

impl TextTower for OnnxText {
    fn forward(&self, batch: &TokenBatch, pause: Pause<'_>) -> tch::Result<Tensor> {
        pause();
        let (texts, length) = (batch.rows().len(), batch.longest());
        let ids = Vec::<i64>::try_from(&batch.ids.f_view(-1)?)?;
        let mask = batch.mask()?;
        let marks = match &mask {
            Some(mask) => Vec::<i64>::try_from(&mask.f_to_kind(Kind::Int64)?.f_view(-1)?)?,
            None => vec![1; ids.len()],
        };
        let long = usize::try_from(length).unwrap_or_default();
        let found = self.run(texts, long, ids, marks).map_err(failed)?;
        match self.pooling {
            // A graph of a fixed length gives rows beyond the longest text.
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
    pub fn new(graph: Arc<Graph>, told: &Told<'_>) -> Result<Self, EmbedError> {
        if !graph.takes(Role::Pixels) {
            return Err(EmbedError::file(told.file, "it takes no pixels"));
        }
        let names = [&IMAGE_OUTPUTS[..], told.pooler()].concat();
        let mut tower = Self {
            output: output(&graph, told.file, &names)?,
            side: graph.side.unwrap_or(told.side),
            graph,
            width: 0,
        };
        let blank = vec![0.0; 3 * tower.side * tower.side];
        let shape = tower
            .run(1, blank)
            .map_err(|reason| EmbedError::file(told.file, reason))?
            .size();
        let [_, width] = shape[..] else {
            return Err(EmbedError::file(
                told.file,
                format!(
                    "the output '{}' has the shape {shape:?}, not one row a picture: export the \
                     model with its projection or pooling",
                    tower.output
                ),
            ));
        };
        tower.width = width;
        Ok(tower)
    }

    fn run(&self, pictures: usize, pixels: Vec<f32>) -> Result<Tensor, String> {
        let texts = usize::from(self.graph.takes(Role::Tokens));
        let length = self.graph.length.unwrap_or(2);
        let feed = Feed {
            texts,
            length,
            ids: vec![0; texts * length],
            mask: vec![1; texts * length],
            pictures,
            side: self.side,
            pixels,
        };
        let [found] = self.graph.run([&self.output], &feed)?;
        Ok(found)
    }
}

impl ImageTower for OnnxImage {
    fn forward(&self, pixels: &Tensor, pause: Pause<'_>) -> tch::Result<Tensor> {
        pause();
        let pictures = usize::try_from(pixels.size4()?.0).unwrap_or_default();
        let numbers = Vec::<f32>::try_from(&pixels.f_to_kind(Kind::Float)?.f_reshape([-1])?)?;
        self.run(pictures, numbers).map_err(failed)
    }

    fn width(&self) -> i64 {
        self.width
    }

    fn image_size(&self) -> usize {
        self.side
    }
}

impl Told<'_> {
    fn pooler(&self) -> &'static [&'static str] {
        match self.pooler {
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
            format!("it puts out {has}, and none of them is {wanted}"),
        )
    })
}

fn failed(reason: String) -> TchError {
    TchError::Torch(format!("ONNX Runtime: {reason}"))
}

/// Rows of `length` numbers, with zeros up to `fixed`.
fn padded(numbers: &[i64], length: usize, fixed: usize) -> Vec<i64> {
    let mut rows = Vec::with_capacity(numbers.len() / length.max(1) * fixed);
    for row in numbers.chunks(length.max(1)) {
        rows.extend_from_slice(row);
        rows.resize(rows.len() + fixed.saturating_sub(row.len()), 0);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::padded;

    #[test]
    fn texts_are_padded_to_the_graphs_own_length() {
        assert_eq!(padded(&[1, 2, 3, 4], 2, 3), [1, 2, 0, 3, 4, 0]);
        assert_eq!(padded(&[1, 2, 3, 4], 2, 2), [1, 2, 3, 4]);
    }
}
