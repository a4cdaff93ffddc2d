//! A batch of texts as one tensor.

use tch::{Device, Kind, Tensor};

use crate::TextTokens;

/// The texts of one batch, padded on the right to the longest.
pub(crate) struct TokenBatch<'a> {
    rows: Vec<&'a [u32]>,
    /// `[n, longest]`. The padding is 0; towers must not read it.
    pub ids: Tensor,
    /// The same texts by the second tokenizer, if the model has one.
    second: Option<Box<Self>>,
}

impl<'a> TokenBatch<'a> {
    /// The tokens of texts.
    pub fn of(texts: &[&'a TextTokens], device: Device) -> tch::Result<Self> {
        let rows = texts.iter().map(|text| text.ids.as_slice()).collect();
        let second: Vec<&[u32]> = texts
            .iter()
            .map(|text| text.second_ids.as_slice())
            .collect();
        let has_second = second.iter().any(|row| !row.is_empty());
        let mut batch = Self::new(rows, device)?;
        if has_second {
            batch.second = Some(Box::new(Self::new(second, device)?));
        }
        Ok(batch)
    }

    /// `rows` are the token ids of each text.
    pub fn new(rows: Vec<&'a [u32]>, device: Device) -> tch::Result<Self> {
        let longest = rows.iter().map(|row| row.len()).max().unwrap_or(0);
        let mut ids = Vec::with_capacity(rows.len() * longest);
        for row in &rows {
            ids.extend(row.iter().map(|&id| i64::from(id)));
            ids.resize(ids.len() + longest - row.len(), 0);
        }
        let ids = Tensor::f_from_slice(&ids)?
            .f_view([rows.len() as i64, longest as i64])?
            .f_to_device(device)?;
        Ok(Self {
            rows,
            ids,
            second: None,
        })
    }

    /// The token ids of each text, without padding.
    pub fn rows(&self) -> &[&'a [u32]] {
        &self.rows
    }

    /// The same texts by the second tokenizer, if the model has one.
    pub fn second(&self) -> Option<&Self> {
        self.second.as_deref()
    }

    /// The number of tokens of the longest text.
    pub fn longest(&self) -> i64 {
        self.rows.iter().map(|row| row.len()).max().unwrap_or(0) as i64
    }

    /// `[n, longest]`, true on tokens and false on padding; `None` without padding, which enables
    /// faster kernels.
    pub fn mask(&self) -> tch::Result<Option<Tensor>> {
        let longest = self.longest();
        if self.rows.iter().all(|row| row.len() as i64 == longest) {
            return Ok(None);
        }
        let lengths = self.lengths()?.f_unsqueeze(1)?;
        let positions = Tensor::f_arange(longest, (Kind::Int64, self.ids.device()))?;
        positions.f_lt_tensor(&lengths).map(Some)
    }

    /// The number of tokens of each text, `[n]`.
    pub fn lengths(&self) -> tch::Result<Tensor> {
        let lengths: Vec<i64> = self.rows.iter().map(|row| row.len() as i64).collect();
        Tensor::f_from_slice(&lengths)?.f_to_device(self.ids.device())
    }
}
