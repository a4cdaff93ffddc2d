//! A checkpoint's tensors by name: from `model.safetensors`, from its shards, or from a file by
//! `torch.save`.
//!
//! Tensors are read one by one, and each is converted before the next is read, so the weights are
//! never in memory twice. Files are read, not mapped: if a file shrinks, the result is an error
//! and not a signal.

mod archive;
mod checkpoint;
mod compact;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
mod pickle;
mod safetensors;

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use ::safetensors::tensor::Dtype;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tch::{Device, Kind, Tensor};

use crate::EmbedError;
use crate::sources::{ModelFile, ModelFiles, WEIGHTS_INDEX, WeightFiles};

pub(crate) use compact::CompactMatrix;

/// The tensors of a checkpoint.
pub(crate) struct Weights {
    shards: Vec<Shard>,
    device: Device,
    kind: Kind,
    parameters: Cell<u64>,
    /// Covers everything that has been read.
    digest: RefCell<Sha256>,
}

/// The tensors below a prefix: `weights.at("vision_model").at("encoder")`.
#[derive(Clone)]
pub(crate) struct Scope<'a> {
    weights: &'a Weights,
    prefix: String,
}

struct Shard {
    file: ModelFile,
    tensors: TensorLocations,
}

/// The location of each tensor in its file, by name.
type TensorLocations = HashMap<String, TensorLocation>;

struct TensorLocation {
    dtype: Dtype,
    shape: Vec<usize>,
    /// In bytes.
    start: u64,
    /// In bytes.
    length: usize,
    /// The elements are contiguous, in row-major order.
    is_contiguous: bool,
}

#[derive(Deserialize)]
struct Index {
    weight_map: HashMap<String, String>,
}

impl Weights {
    /// Reads the headers of the first of `names` that exists, or of every shard. Tensors are
    /// converted to `kind` on `device`.
    pub fn open(
        files: &ModelFiles,
        names: &WeightFiles,
        device: Device,
        kind: Kind,
    ) -> Result<Self, EmbedError> {
        let found = names.safetensors.iter().find(|name| files.has(name));
        let shards = if let Some(name) = found {
            vec![Shard::open(files, name, safetensors::locations)?]
        } else if files.has(WEIGHTS_INDEX) {
            let index: Index = files.json(WEIGHTS_INDEX)?;
            let mut names: Vec<_> = index.weight_map.into_values().collect();
            names.sort_unstable();
            names.dedup();
            names
                .iter()
                .map(|name| Shard::open(files, name, safetensors::locations))
                .collect::<Result<_, _>>()?
        } else if files.has(names.pickle) {
            vec![Shard::open(files, names.pickle, checkpoint::locations)?]
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

    pub fn device(&self) -> Device {
        self.device
    }

    /// The type that tensors are converted to.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The tensors below `prefix`.
    pub fn at(&self, prefix: &str) -> Scope<'_> {
        Scope {
            weights: self,
            prefix: prefix.to_owned(),
        }
    }

    /// The number of elements of all tensors that have been read.
    pub fn parameters(&self) -> u64 {
        self.parameters.get()
    }

    /// Counts parameters of another checkpoint that belongs to the same model.
    pub fn add_parameters(&self, count: u64) {
        self.parameters.set(self.parameters.get() + count);
    }

    /// Adds the contents of another file to the fingerprint.
    pub fn add_to_fingerprint(&self, bytes: &[u8]) {
        self.digest.borrow_mut().update(bytes);
    }

    /// SHA-256, in hexadecimal, of all tensors that have been read and all added contents, in this
    /// order.
    pub fn fingerprint(&self) -> String {
        let digest = self.digest.borrow().clone().finalize();
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Reads the tensor `name`, which must have exactly the shape `shape`.
    pub fn get(&self, name: &str, shape: &[i64]) -> Result<Tensor, EmbedError> {
        self.get_as(name, shape, self.kind)
    }

    fn get_as(&self, name: &str, shape: &[i64], kind: Kind) -> Result<Tensor, EmbedError> {
        let tensor = match *shape {
            [rows, columns] if self.find(name).is_none() => {
                let compact = CompactMatrix::read(self, name, [rows, columns])?;
                let compact = compact.ok_or_else(|| self.missing(name))?;
                Tensor::f_from_slice(&compact.to_dense()).and_then(|tensor| tensor.f_view(shape))
            }
            _ => self.plain(name, shape)?,
        };
        tensor
            .and_then(|tensor| tensor.f_to_device(self.device))
            .and_then(|tensor| tensor.f_to_kind(kind))
            .map_err(EmbedError::torch("loading weights"))
    }

    /// Reads a tensor that is stored number by number, in its own type.
    fn plain(&self, name: &str, shape: &[i64]) -> Result<tch::Result<Tensor>, EmbedError> {
        let bytes = self.bytes(name, &[Dtype::F32, Dtype::F16, Dtype::BF16], shape)?;
        let stored = match self.find(name).map(|(_, location)| location.dtype) {
            Some(Dtype::F16) => Kind::Half,
            Some(Dtype::BF16) => Kind::BFloat16,
            _ => Kind::Float,
        };
        let count: i64 = shape.iter().product();
        self.add_parameters(count.unsigned_abs());
        Ok(Tensor::f_from_data_size(&bytes, shape, stored))
    }

    /// Reads the bytes of a tensor of one of these types, which must have exactly the shape `shape`.
    fn bytes(
        &self,
        name: &str,
        types: &[Dtype],
        shape: &[i64],
    ) -> Result<Cow<'static, [u8]>, EmbedError> {
        let (shard, location) = self.find(name).ok_or_else(|| self.missing(name))?;
        let refuse = |reason: String| EmbedError::Tensor {
            tensor: name.to_owned(),
            file: shard.file.name().to_owned(),
            reason,
        };
        let found: Vec<i64> = location.shape.iter().map(|&side| side as i64).collect();
        if found != shape {
            return Err(refuse(format!(
                "its shape is {found:?}, expected {shape:?}"
            )));
        }
        if !types.contains(&location.dtype) {
            let expected: Vec<String> = types.iter().map(|it| format!("{it:?}")).collect();
            return Err(refuse(format!(
                "its type is {:?}, expected {}",
                location.dtype,
                expected.join(" or ")
            )));
        }
        if !location.is_contiguous {
            return Err(refuse(
                "its elements are not contiguous: save it after contiguous()".to_owned(),
            ));
        }
        let bytes = shard.file.read(location.start, location.length)?;
        let mut digest = self.digest.borrow_mut();
        digest.update(name);
        digest.update(&bytes);
        Ok(bytes)
    }

    fn find(&self, name: &str) -> Option<(&Shard, &TensorLocation)> {
        self.shards
            .iter()
            .find_map(|shard| shard.tensors.get(name).map(|location| (shard, location)))
    }

    fn shape(&self, name: &str) -> Result<Vec<i64>, EmbedError> {
        let (_, location) = self.find(name).ok_or_else(|| self.missing(name))?;
        Ok(location.shape.iter().map(|&side| side as i64).collect())
    }

    fn invalid(&self, name: &str, reason: &str) -> EmbedError {
        let files: Vec<_> = self.shards.iter().map(|shard| shard.file.name()).collect();
        EmbedError::Tensor {
            tensor: name.to_owned(),
            file: files.join(", "),
            reason: reason.to_owned(),
        }
    }

    fn missing(&self, name: &str) -> EmbedError {
        self.invalid(name, "it is missing")
    }
}

impl Scope<'_> {
    /// The tensors below `name` in this scope.
    pub fn at(&self, name: impl std::fmt::Display) -> Self {
        Self {
            weights: self.weights,
            prefix: self.full(&name.to_string()),
        }
    }

    /// As [`Weights::get`].
    pub fn get(&self, name: &str, shape: &[i64]) -> Result<Tensor, EmbedError> {
        self.weights.get(&self.full(name), shape)
    }

    /// Reads the matrix `name` in its compact form; `None` if it is stored number by number.
    pub fn compact(
        &self,
        name: &str,
        shape: [i64; 2],
    ) -> Result<Option<CompactMatrix>, EmbedError> {
        CompactMatrix::read(self.weights, &self.full(name), shape)
    }

    /// The device that tensors are read to.
    pub fn device(&self) -> Device {
        self.weights.device
    }

    /// As [`get`](Self::get), always in f32.
    pub fn get_f32(&self, name: &str, shape: &[i64]) -> Result<Tensor, EmbedError> {
        self.weights.get_as(&self.full(name), shape, Kind::Float)
    }

    /// As [`Weights::kind`].
    pub fn kind(&self) -> Kind {
        self.weights.kind
    }

    pub fn has(&self, name: &str) -> bool {
        self.weights.find(&self.full(name)).is_some()
    }

    /// The first dimension of a tensor whose shape the configuration does not contain.
    pub fn first_dimension(&self, name: &str) -> Result<i64, EmbedError> {
        let shape = self.weights.shape(&self.full(name))?;
        Ok(shape.first().copied().unwrap_or(1))
    }

    /// Rows and columns of a matrix whose shape the configuration does not contain.
    pub fn matrix_shape(&self, name: &str) -> Result<(i64, i64), EmbedError> {
        match self.weights.shape(&self.full(name))?[..] {
            [rows, columns] => Ok((rows, columns)),
            _ => Err(self.weights.invalid(&self.full(name), "it is not a matrix")),
        }
    }

    /// Reads a single element, of shape `[]` or `[1]`.
    pub fn scalar(&self, name: &str) -> Result<f64, EmbedError> {
        let shape = self.weights.shape(&self.full(name))?;
        let shape: &[i64] = if shape == [1] { &[1] } else { &[] };
        self.get(name, shape)?
            .f_to_device(Device::Cpu)
            .and_then(|scalar| scalar.f_to_kind(Kind::Double))
            .and_then(|scalar| f64::try_from(scalar.f_view([-1])?.f_select(0, 0)?))
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
        locations: fn(&ModelFile) -> Result<TensorLocations, EmbedError>,
    ) -> Result<Self, EmbedError> {
        let file = files.open(name)?;
        Ok(Self {
            tensors: locations(&file)?,
            file,
        })
    }
}

#[cfg(test)]
mod tests;
