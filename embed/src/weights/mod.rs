//! A checkpoint's tensors by name: from `model.safetensors`, its shards, or what
//! `torch.save` wrote.
//!
//! Tensors are read one by one, straight from the file, and each is converted before
//! the next is read: the weights are never in memory twice. Reading rather than
//! mapping, so that a file that shrinks meanwhile is an error and not a signal.

mod archive;
mod checkpoint;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod pickle;
mod safetensors;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use ::safetensors::tensor::Dtype;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tch::{Device, Kind, Tensor};

use crate::EmbedError;
use crate::sources::{ModelFile, ModelFiles, WEIGHTS_INDEX, WeightFiles};

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
    places: Places,
}

/// Where each tensor lies in its file.
type Places = HashMap<String, Place>;

struct Place {
    dtype: Dtype,
    shape: Vec<usize>,
    start: u64,
    length: usize,
    /// Its numbers follow each other as they are counted.
    in_order: bool,
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
        names: &WeightFiles,
        device: Device,
        kind: Kind,
    ) -> Result<Self, EmbedError> {
        let found = names.safetensors.iter().find(|name| files.has(name));
        let shards = if let Some(name) = found {
            vec![Shard::open(files, name, safetensors::places)?]
        } else if files.has(WEIGHTS_INDEX) {
            let index: Index = files.json(WEIGHTS_INDEX)?;
            let mut names: Vec<_> = index.weight_map.into_values().collect();
            names.sort_unstable();
            names.dedup();
            names
                .iter()
                .map(|name| Shard::open(files, name, safetensors::places))
                .collect::<Result<_, _>>()?
        } else if files.has(names.pickle) {
            vec![Shard::open(files, names.pickle, checkpoint::places)?]
        } else {
            let name = names.safetensors.first().copied().unwrap_or_default();
            return Err(EmbedError::file(
                files.display(name),
                format!(
                    "it is missing, and so are {WEIGHTS_INDEX} and {}",
                    names.pickle
                ),
            ));
        };
        Ok(Self {
            shards,
            device,
            kind,
            parameters: Cell::new(0),
            digest: RefCell::default(),
        })
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
        let (shard, place) = self.find(name).ok_or_else(|| self.missing(name))?;
        let refuse = |reason: String| EmbedError::Tensor {
            tensor: name.to_owned(),
            file: shard.file.name().to_owned(),
            reason,
        };
        let found: Vec<i64> = place.shape.iter().map(|&side| side as i64).collect();
        if found != shape {
            return Err(refuse(format!(
                "its shape is {found:?}, expected {shape:?}"
            )));
        }
        let stored = match place.dtype {
            Dtype::F32 => Kind::Float,
            Dtype::F16 => Kind::Half,
            Dtype::BF16 => Kind::BFloat16,
            other => {
                return Err(refuse(format!(
                    "its type is {other:?}, expected F32, F16 or BF16"
                )));
            }
        };
        if !place.in_order {
            return Err(refuse(
                "its numbers are not stored in order: save it with contiguous()".to_owned(),
            ));
        }
        let bytes = shard.file.read(place.start, place.length)?;
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

    fn find(&self, name: &str) -> Option<(&Shard, &Place)> {
        self.shards
            .iter()
            .find_map(|shard| shard.places.get(name).map(|place| (shard, place)))
    }

    fn shape(&self, name: &str) -> Result<Vec<i64>, EmbedError> {
        let (_, place) = self.find(name).ok_or_else(|| self.missing(name))?;
        Ok(place.shape.iter().map(|&side| side as i64).collect())
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
    fn open(
        files: &ModelFiles,
        name: &str,
        places: fn(&ModelFile) -> Result<Places, EmbedError>,
    ) -> Result<Self, EmbedError> {
        let file = files.open(name)?;
        Ok(Self {
            places: places(&file)?,
            file,
        })
    }
}

#[cfg(test)]
mod tests;
