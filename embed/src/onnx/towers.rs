//! Graphs as towers. A graph of both halves is fed the smallest other half.
//!
//! A graph runs whole: there is no pause in it for a search, which waits for the batch.

use std::sync::Arc;

use tch::{Kind, TchError, Tensor};

use super::graph::{Feed, Graph, Role};
use crate::EmbedError;
use crate::towers::{ImageTower, Pause, TextTower, TokenBatch};

const TEXT_OUTPUTS: [&str; 3] = ["text_embeds", "sentence_embedding", "text_features"];
const IMAGE_OUTPUTS: [&str; 2] = ["image_embeds", "image_features"];

pub(crate) struct OnnxText {
    graph: Arc<Graph>,
    output: String,
    context_length: usize,
    /// Of the picture beside the texts, where the graph wants one.
    side: usize,
    width: usize,
}

pub(crate) struct OnnxImage {
    graph: Arc<Graph>,
    output: String,
    side: usize,
    width: usize,
}

impl OnnxText {
    /// `file` is for messages; `context_length` holds where the graph fixes none, `side`
    /// is that of the model's pictures.
    pub fn new(
        graph: Arc<Graph>,
        file: &str,
        context_length: usize,
        side: usize,
    ) -> Result<Self, EmbedError> {
        if !graph.takes(Role::Tokens) {
            return Err(EmbedError::file(file, "it takes no token numbers"));
        }
        let output = output(&graph, file, &TEXT_OUTPUTS)?;
        let mut tower = Self {
            context_length: graph.length.unwrap_or(context_length),
            graph,
            output,
            side,
            width: 0,
        };
        let (_, width) = tower
            .run(1, 2, vec![0, 0], vec![1, 1])
            .map_err(|reason| EmbedError::file(file, reason))?;
        tower.width = width;
        Ok(tower)
    }

    fn run(
        &self,
        texts: usize,
        length: usize,
        ids: Vec<i64>,
        mask: Vec<i64>,
    ) -> Result<(Vec<f32>, usize), String> {
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
        self.graph.run(&self.output, &feed)
    }
}

impl TextTower for OnnxText {
    fn forward(&self, batch: &TokenBatch, pause: Pause<'_>) -> tch::Result<Tensor> {
        pause();
        let (texts, length) = (batch.rows().len(), batch.longest());
        let ids = Vec::<i64>::try_from(&batch.ids.f_view(-1)?)?;
        let mask = match batch.mask()? {
            Some(mask) => Vec::<i64>::try_from(&mask.f_to_kind(Kind::Int64)?.f_view(-1)?)?,
            None => vec![1; ids.len()],
        };
        let length = usize::try_from(length).unwrap_or_default();
        rows(self.run(texts, length, ids, mask))
    }

    fn width(&self) -> i64 {
        self.width as i64
    }

    fn context_length(&self) -> usize {
        self.context_length
    }
}

impl OnnxImage {
    /// `side` holds where the graph fixes none.
    pub fn new(graph: Arc<Graph>, file: &str, side: usize) -> Result<Self, EmbedError> {
        if !graph.takes(Role::Pixels) {
            return Err(EmbedError::file(file, "it takes no pixels"));
        }
        let output = output(&graph, file, &IMAGE_OUTPUTS)?;
        let mut tower = Self {
            side: graph.side.unwrap_or(side),
            graph,
            output,
            width: 0,
        };
        let blank = vec![0.0; 3 * tower.side * tower.side];
        let (_, width) = tower
            .run(1, blank)
            .map_err(|reason| EmbedError::file(file, reason))?;
        tower.width = width;
        Ok(tower)
    }

    fn run(&self, pictures: usize, pixels: Vec<f32>) -> Result<(Vec<f32>, usize), String> {
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
        self.graph.run(&self.output, &feed)
    }
}

impl ImageTower for OnnxImage {
    fn forward(&self, pixels: &Tensor, pause: Pause<'_>) -> tch::Result<Tensor> {
        pause();
        let pictures = usize::try_from(pixels.size4()?.0).unwrap_or_default();
        let numbers = Vec::<f32>::try_from(&pixels.f_reshape([-1])?)?;
        rows(self.run(pictures, numbers))
    }

    fn width(&self) -> i64 {
        self.width as i64
    }

    fn image_size(&self) -> usize {
        self.side
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

fn rows(result: Result<(Vec<f32>, usize), String>) -> tch::Result<Tensor> {
    let (numbers, width) =
        result.map_err(|reason| TchError::Torch(format!("ONNX Runtime: {reason}")))?;
    Tensor::f_from_slice(&numbers)?.f_view([-1, width as i64])
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
