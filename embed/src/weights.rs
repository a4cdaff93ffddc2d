//! A checkpoint's tensors by name, from `model.safetensors` or its shards.
//!
//! Tensors are read one by one, straight from the file, and each is converted before
//! the next is read: the weights are never in memory twice. Reading rather than
//! mapping, so that a file that shrinks meanwhile is an error and not a signal.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use safetensors::tensor::{Dtype, Metadata};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tch::{Device, Kind, Tensor};

use crate::EmbedError;
use crate::sources::{ModelFile, ModelFiles, WEIGHTS_INDEX};

/// What PyTorch saves without safetensors.
const PICKLES: [&str; 2] = ["pytorch_model.bin", "open_clip_pytorch_model.bin"];

/// The format's own limit for a header.
const MAX_HEADER: u64 = 100_000_000;

pub(crate) struct Weights {
    shards: Vec<Shard>,
    device: Device,
    kind: Kind,
    parameters: Cell<u64>,
    /// Of what was read so far.
    digest: RefCell<Sha256>,
}

/// Names below a prefix: `weights.at("vision_model").at("encoder")`.
#[derive(Clone)]
pub(crate) struct Scope<'a> {
    weights: &'a Weights,
    prefix: String,
}

struct Shard {
    file: ModelFile,
    metadata: Metadata,
    data_start: u64,
}

#[derive(Deserialize)]
struct Index {
    weight_map: HashMap<String, String>,
}

impl Weights {
    /// Reads the headers of the first of `names` that is there, or of every shard.
    /// `kind` is what tensors become on `device`.
    pub fn open(
        files: &ModelFiles,
        names: &[&str],
        device: Device,
        kind: Kind,
    ) -> Result<Self, EmbedError> {
        let names = if let Some(name) = names.iter().find(|name| files.has(name)) {
            vec![(*name).to_owned()]
        } else if files.has(WEIGHTS_INDEX) {
            let index: Index = files.json(WEIGHTS_INDEX)?;
            let mut names: Vec<_> = index.weight_map.into_values().collect();
            names.sort_unstable();
            names.dedup();
            names
        } else {
            return Err(Self::absent(files, names));
        };
        let shards = names
            .iter()
            .map(|name| Shard::open(files.open(name)?))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            shards,
            device,
            kind,
            parameters: Cell::new(0),
            digest: RefCell::default(),
        })
    }

    /// What to say when there are no weights, or none that are read.
    fn absent(files: &ModelFiles, names: &[&str]) -> EmbedError {
        let name = names.first().copied().unwrap_or_default();
        let pickled = PICKLES.iter().find(|pickle| files.has(pickle));
        let reason = match pickled {
            Some(pickle) => format!(
                "it is missing; {pickle} is a pickle, which can run code and is not read: \
                 save its tensors with safetensors.torch.save_file"
            ),
            None => format!("it is missing, and so is {WEIGHTS_INDEX}"),
        };
        EmbedError::file(files.display(name), reason)
    }

    pub fn at(&self, prefix: &str) -> Scope<'_> {
        Scope {
            weights: self,
            prefix: prefix.to_owned(),
        }
    }

    /// Numbers handed out so far.
    pub fn parameters(&self) -> u64 {
        self.parameters.get()
    }

    /// Makes a file that is no tensor count for the fingerprint.
    pub fn count_in(&self, bytes: &[u8]) {
        self.digest.borrow_mut().update(bytes);
    }

    /// SHA-256 over every tensor handed out and what was counted in, in hexadecimal.
    pub fn fingerprint(&self) -> String {
        let digest = self.digest.borrow().clone().finalize();
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The tensor `name`, which must have exactly `shape`.
    pub fn get(&self, name: &str, shape: &[i64]) -> Result<Tensor, EmbedError> {
        self.get_as(name, shape, self.kind)
    }

    fn get_as(&self, name: &str, shape: &[i64], kind: Kind) -> Result<Tensor, EmbedError> {
        let (shard, info) = self.find(name).ok_or_else(|| self.missing(name))?;
        let refuse = |reason: String| EmbedError::Tensor {
            tensor: name.to_owned(),
            file: shard.file.name().to_owned(),
            reason,
        };
        let found: Vec<i64> = info.shape.iter().map(|&side| side as i64).collect();
        if found != shape {
            return Err(refuse(format!(
                "its shape is {found:?}, expected {shape:?}"
            )));
        }
        let stored = match info.dtype {
            Dtype::F32 => Kind::Float,
            Dtype::F16 => Kind::Half,
            Dtype::BF16 => Kind::BFloat16,
            other => {
                return Err(refuse(format!(
                    "its type is {other:?}, expected F32, F16 or BF16"
                )));
            }
        };
        let (start, end) = info.data_offsets;
        let bytes = shard
            .file
            .read(shard.data_start + start as u64, end - start)?;
        let mut digest = self.digest.borrow_mut();
        digest.update(name);
        digest.update(&bytes);
        let tensor = Tensor::f_from_data_size(&bytes, shape, stored)
            .and_then(|tensor| tensor.f_to_device(self.device))
            .and_then(|tensor| tensor.f_to_kind(kind))
            .map_err(EmbedError::torch("loading weights"))?;
        let count: i64 = shape.iter().product();
        self.parameters
            .set(self.parameters.get() + count.unsigned_abs());
        Ok(tensor)
    }

    fn find(&self, name: &str) -> Option<(&Shard, &safetensors::tensor::TensorInfo)> {
        self.shards
            .iter()
            .find_map(|shard| shard.metadata.info(name).map(|info| (shard, info)))
    }

    fn shape(&self, name: &str) -> Result<Vec<i64>, EmbedError> {
        let (_, info) = self.find(name).ok_or_else(|| self.missing(name))?;
        Ok(info.shape.iter().map(|&side| side as i64).collect())
    }

    fn refused(&self, name: &str, reason: &str) -> EmbedError {
        let files: Vec<_> = self.shards.iter().map(|shard| shard.file.name()).collect();
        EmbedError::Tensor {
            tensor: name.to_owned(),
            file: files.join(", "),
            reason: reason.to_owned(),
        }
    }

    fn missing(&self, name: &str) -> EmbedError {
        self.refused(name, "it is missing")
    }
}

impl Scope<'_> {
    pub fn at(&self, name: impl std::fmt::Display) -> Self {
        Self {
            weights: self.weights,
            prefix: self.full(&name.to_string()),
        }
    }

    pub fn get(&self, name: &str, shape: &[i64]) -> Result<Tensor, EmbedError> {
        self.weights.get(&self.full(name), shape)
    }

    /// The same in f32, whatever the model runs in.
    pub fn get_f32(&self, name: &str, shape: &[i64]) -> Result<Tensor, EmbedError> {
        self.weights.get_as(&self.full(name), shape, Kind::Float)
    }

    /// What the model runs in.
    pub fn kind(&self) -> Kind {
        self.weights.kind
    }

    pub fn has(&self, name: &str) -> bool {
        self.weights.find(&self.full(name)).is_some()
    }

    /// The first side of a tensor whose size the configuration does not tell.
    pub fn length(&self, name: &str) -> Result<i64, EmbedError> {
        let shape = self.weights.shape(&self.full(name))?;
        Ok(shape.first().copied().unwrap_or(1))
    }

    /// Both sides of a matrix whose size the configuration does not tell.
    pub fn sides(&self, name: &str) -> Result<(i64, i64), EmbedError> {
        match self.weights.shape(&self.full(name))?[..] {
            [rows, columns] => Ok((rows, columns)),
            _ => Err(self.weights.refused(&self.full(name), "it is no matrix")),
        }
    }

    /// One number, as `[]` or `[1]`.
    pub fn number(&self, name: &str) -> Result<f64, EmbedError> {
        let shape = self.weights.shape(&self.full(name))?;
        let shape: &[i64] = if shape == [1] { &[1] } else { &[] };
        self.get(name, shape)?
            .f_to_device(Device::Cpu)
            .and_then(|number| number.f_to_kind(Kind::Double))
            .and_then(|number| f64::try_from(number.f_view([-1])?.f_select(0, 0)?))
            .map_err(EmbedError::torch("loading weights"))
    }

    fn full(&self, name: &str) -> String {
        if self.prefix.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.prefix)
        }
    }
}

impl Shard {
    fn open(file: ModelFile) -> Result<Self, EmbedError> {
        let refuse = |reason: String| EmbedError::file(file.name(), reason);
        if file.len() < 8 {
            return Err(refuse("it is too short for a safetensors file".to_owned()));
        }
        let mut length = [0; 8];
        length.copy_from_slice(&file.read(0, 8)?);
        let length = u64::from_le_bytes(length);
        if length > MAX_HEADER || length > file.len() - 8 {
            return Err(refuse(
                "it is truncated, or no safetensors file (its header is longer than itself)"
                    .to_owned(),
            ));
        }
        // At most MAX_HEADER, so it fits.
        let header = file.read(8, length as usize)?;
        let metadata: Metadata = serde_json::from_slice(&header)
            .map_err(|error| refuse(format!("its header cannot be read: {error}")))?;
        let data_start = 8 + length;
        let expected = data_start + metadata.data_len() as u64;
        if expected != file.len() {
            return Err(refuse(format!(
                "it has {} bytes where its header promises {expected}",
                file.len()
            )));
        }
        Ok(Self {
            file,
            metadata,
            data_start,
        })
    }
}
