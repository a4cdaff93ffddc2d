//! A batch of texts as one tensor.

use tch::{Device, Kind, Tensor};

/// The texts of one batch, padded on the right to the longest.
pub(crate) struct TokenBatch<'a> {
    rows: &'a [&'a [u32]],
    /// `[n, longest]`. The padding is 0; towers must not read it.
    pub ids: Tensor,
}

impl<'a> TokenBatch<'a> {
    /// `rows` are the token ids of each text.
    pub fn new(rows: &'a [&'a [u32]], device: Device) -> tch::Result<Self> {
        let longest = rows.iter().map(|row| row.len()).max().unwrap_or(0);
        let mut ids = Vec::with_capacity(rows.len() * longest);
        for row in rows {
            ids.extend(row.iter().map(|&id| i64::from(id)));
            ids.resize(ids.len() + longest - row.len(), 0);
        }
        let ids = Tensor::f_from_slice(&ids)?
            .f_view([rows.len() as i64, longest as i64])?
            .f_to_device(device)?;
        Ok(Self { rows, ids })
    }

    /// The token ids of each text, without padding.
    pub fn rows(&self) -> &[&'a [u32]] {
        self.rows
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
