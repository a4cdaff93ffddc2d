//! An exported graph in ONNX Runtime. Inputs are recognised by their role, outputs by their name.

use std::path::Path;

use half::f16;
use ort::ep;
use ort::session::{Session, SessionInputValue};
use ort::value::{DynValue, Outlet, Tensor as OrtTensor, TensorElementType, ValueType};
use parking_lot::Mutex;
use tch::{Device, Kind, Tensor};

use super::library;
use crate::{EmbedError, EncoderSettings};

/// The role of a graph's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Token ids, `[n, length]`.
    Tokens,
    /// 1 on tokens and 0 on padding, `[n, length]`.
    Mask,
    /// Token types, `[n, length]`: 0, for the first of two sentences.
    Types,
    /// The position of each token, `[n, length]`.
    Positions,
    /// Normalised pixels, `[n, 3, side, side]`.
    Pixels,
}

struct Input {
    name: String,
    role: Role,
    element: TensorElementType,
}

/// The inputs of a run: a batch of texts and a batch of images.
pub(crate) struct Feed {
    pub texts: usize,
    /// Tokens per text.
    pub length: usize,
    /// `[texts, length]`.
    pub ids: Vec<i64>,
    /// `[texts, length]`.
    pub mask: Vec<i64>,
    pub images: usize,
    /// In pixels.
    pub side: usize,
    /// `[images, 3, side, side]`.
    pub pixels: Vec<f32>,
}

pub(crate) struct Graph {
    // A run needs exclusive access; only the device thread runs it.
    session: Mutex<Session>,
    inputs: Vec<Input>,
    outputs: Vec<String>,
    /// The number of tokens per text, if the export fixed it.
    pub length: Option<usize>,
    /// The side of the images in pixels, if the export fixed it.
    pub side: Option<usize>,
    /// Whether an output is f16.
    pub is_half: bool,
}

impl Graph {
    /// Loads the library, unless it is loaded already, and the graph with its external weights.
    ///
    /// # Errors
    /// [`EmbedError::OnnxRuntime`] without the library, [`EmbedError::Device`] if it cannot use the
    /// device, [`EmbedError::ModelFile`] if the file is corrupt or has an input of unknown role.
    pub fn open(
        path: &Path,
        device: Device,
        settings: &EncoderSettings,
    ) -> Result<Self, EmbedError> {
        let environment = library::environment(settings.onnx_runtime.as_deref())?;
        let shown = path.display().to_string();
        let refuse = |error: &dyn ToString| EmbedError::file(&shown, error.to_string());
        let mut builder = Session::builder(&environment)
            .map_err(|error| refuse(&error))?
            .with_intra_threads(settings.threads)
            .map_err(|error| refuse(&error))?
            // Spinning threads would take processor time from searches.
            .with_intra_op_spinning(false)
            .map_err(|error| refuse(&error))?;
        if let Device::Cuda(number) = device {
            let number = i32::try_from(number).unwrap_or(i32::MAX);
            let cuda = ep::CUDA::default().with_device_id(number).build();
            builder = builder
                .with_execution_providers([cuda.error_on_failure()])
                .map_err(|error| EmbedError::Device {
                    device: format!("cuda:{number}"),
                    reason: format!(
                        "this ONNX Runtime library has no CUDA support ({error}); use the library \
                         of PyPI's onnxruntime-gpu with --onnx-runtime FILE, or --device cpu"
                    ),
                })?;
        }
        let session = builder
            .commit_from_file(path)
            .map_err(|error| refuse(&error))?;
        let mut inputs = Vec::new();
        let (mut length, mut side) = (None, None);
        for outlet in session.inputs() {
            let (input, shape) = Self::input(outlet).map_err(|reason| refuse(&reason))?;
            let fixed = |dimension: usize| {
                let size = shape.get(dimension).copied().unwrap_or(-1);
                usize::try_from(size).ok().filter(|size| *size > 0)
            };
            match input.role {
                Role::Tokens => length = fixed(1),
                Role::Pixels => side = fixed(2),
                Role::Mask | Role::Types | Role::Positions => {}
            }
            inputs.push(input);
        }
        let is_half = session.outputs().iter().any(|outlet| {
            let element = outlet.dtype().tensor_type();
            element == Some(TensorElementType::Float16)
        });
        let outputs = session.outputs().iter().map(|it| it.name().to_owned());
        Ok(Self {
            outputs: outputs.collect(),
            is_half,
            session: Mutex::new(session),
            inputs,
            length,
            side,
        })
    }

    fn input(outlet: &Outlet) -> Result<(Input, Vec<i64>), String> {
        let name = outlet.name().to_owned();
        let ValueType::Tensor { ty, shape, .. } = outlet.dtype() else {
            return Err(format!("its input '{name}' is not a tensor"));
        };
        let integer = matches!(ty, TensorElementType::Int64 | TensorElementType::Int32);
        let float = matches!(ty, TensorElementType::Float32 | TensorElementType::Float16);
        let role = match name.as_str() {
            "attention_mask" if integer => Role::Mask,
            "token_type_ids" if integer => Role::Types,
            "position_ids" if integer => Role::Positions,
            // Exporters use various names for these.
            _ if integer && shape.len() == 2 => Role::Tokens,
            _ if float && shape.len() == 4 => Role::Pixels,
            _ => {
                return Err(format!(
                    "its input '{name}' is {}; supported are token ids [n, length], \
                     attention_mask, token_type_ids, position_ids, and pixels [n, 3, side, side] in \
                     f32 or f16",
                    outlet.dtype()
                ));
            }
        };
        let element = *ty;
        Ok((
            Input {
                name,
                role,
                element,
            },
            shape.to_vec(),
        ))
    }

    /// Whether the graph has an input with this role.
    pub fn takes(&self, role: Role) -> bool {
        self.inputs.iter().any(|input| input.role == role)
    }

    /// The first of `names` that is an output, or the only output.
    pub fn output(&self, names: &[&str]) -> Option<&str> {
        let named = names
            .iter()
            .find_map(|name| self.outputs.iter().find(|output| output == name));
        let single = match self.outputs.as_slice() {
            [single] => Some(single),
            _ => None,
        };
        named.or(single).map(String::as_str)
    }

    pub fn has_output(&self, name: &str) -> bool {
        self.outputs.iter().any(|output| output == name)
    }

    /// The names of all outputs, for messages.
    pub fn outputs(&self) -> String {
        self.outputs.join(", ")
    }

    /// Runs the graph and returns each of `outputs` in f32.
    ///
    /// # Errors
    /// The message of ONNX Runtime, or that an output is neither f32 nor f16.
    pub fn run<const N: usize>(
        &self,
        outputs: [&str; N],
        feed: &Feed,
    ) -> Result<[Tensor; N], String> {
        let feeds = self
            .inputs
            .iter()
            .map(|input| Ok((input.name.clone(), input.value(feed)?)))
            .collect::<ort::Result<Vec<(String, SessionInputValue<'_>)>>>()
            .map_err(|error| error.to_string())?;
        let mut session = self.session.lock();
        let results = session.run(feeds).map_err(|error| error.to_string())?;
        let mut found = outputs.map(|_| Tensor::new());
        for (found, output) in found.iter_mut().zip(outputs) {
            *found = to_tensor(&results[output])
                .map_err(|reason| format!("the output '{output}' cannot be read: {reason}"))?;
        }
        Ok(found)
    }
}

fn to_tensor(value: &DynValue) -> Result<Tensor, String> {
    if value.dtype().tensor_type() == Some(TensorElementType::Float16) {
        let (shape, values) = value
            .try_extract_tensor::<f16>()
            .map_err(|error| error.to_string())?;
        return Tensor::f_from_slice(values)
            .and_then(|values| values.f_to_kind(Kind::Float)?.f_view(&shape[..]))
            .map_err(|error| error.to_string());
    }
    let (shape, values) = value
        .try_extract_tensor::<f32>()
        .map_err(|error| error.to_string())?;
    Tensor::f_from_slice(values)
        .and_then(|values| values.f_view(&shape[..]))
        .map_err(|error| error.to_string())
}

impl Input {
    fn value(&self, feed: &Feed) -> ort::Result<SessionInputValue<'static>> {
        let integers = match self.role {
            Role::Pixels => {
                let shape = [feed.images, 3, feed.side, feed.side];
                if self.element == TensorElementType::Float16 {
                    let pixels: Vec<f16> =
                        feed.pixels.iter().map(|&it| f16::from_f32(it)).collect();
                    return Ok(OrtTensor::from_array((shape, pixels))?.into());
                }
                return Ok(OrtTensor::from_array((shape, feed.pixels.clone()))?.into());
            }
            Role::Tokens => feed.ids.clone(),
            Role::Mask => feed.mask.clone(),
            Role::Types => vec![0; feed.ids.len()],
            Role::Positions => (0..feed.texts)
                .flat_map(|_| 0..feed.length as i64)
                .collect(),
        };
        let shape = [feed.texts, feed.length];
        Ok(match self.element {
            // Token ids, positions and masks fit 32 bits.
            TensorElementType::Int32 => {
                let integers: Vec<i32> = integers.into_iter().map(|it| it as i32).collect();
                OrtTensor::from_array((shape, integers))?.into()
            }
            _ => OrtTensor::from_array((shape, integers))?.into(),
        })
    }
}
