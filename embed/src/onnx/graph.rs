//! One exported graph in ONNX Runtime: what goes in by its meaning, what comes out by name.

use std::path::Path;

use half::f16;
use ort::ep;
use ort::session::{Session, SessionInputValue};
use ort::value::{DynValue, Outlet, Tensor as OrtTensor, TensorElementType, ValueType};
use parking_lot::Mutex;
use tch::{Device, Kind, Tensor};

use super::library;
use crate::{EmbedError, EncoderSettings};

/// What an input of a graph is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Token numbers, `[n, length]`.
    Tokens,
    /// 1 on tokens and 0 on padding, `[n, length]`.
    Mask,
    /// Which of two sentences a token is of: the first, `[n, length]`.
    Types,
    /// Each token's place, `[n, length]`.
    Positions,
    /// `[n, 3, side, side]`.
    Pixels,
}

struct Input {
    name: String,
    role: Role,
    element: TensorElementType,
}

/// Integers a batch of texts consists of, and the pixels of a batch of pictures.
pub(crate) struct Feed {
    pub texts: usize,
    pub length: usize,
    pub ids: Vec<i64>,
    pub mask: Vec<i64>,
    pub pictures: usize,
    pub side: usize,
    pub pixels: Vec<f32>,
}

pub(crate) struct Graph {
    // Running needs it whole; the device thread is the only one that does.
    session: Mutex<Session>,
    inputs: Vec<Input>,
    outputs: Vec<String>,
    /// Dimensions that were fixed when the graph was exported.
    pub length: Option<usize>,
    pub side: Option<usize>,
    /// Whether it puts out f16.
    pub half: bool,
}

impl Graph {
    /// Loads the library if nobody did, and the graph with the weights beside it.
    ///
    /// # Errors
    /// When there is no library, the file is broken, or it has inputs of no known meaning.
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
            // Threads that wait would take the cores from searches.
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
                        "this ONNX Runtime library offers no CUDA ({error}); --onnx-runtime FILE \
                         names that of PyPI's onnxruntime-gpu, --device cpu runs it without"
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
        let half = session.outputs().iter().any(|outlet| {
            let element = outlet.dtype().tensor_type();
            element == Some(TensorElementType::Float16)
        });
        let outputs = session.outputs().iter().map(|it| it.name().to_owned());
        Ok(Self {
            outputs: outputs.collect(),
            half,
            session: Mutex::new(session),
            inputs,
            length,
            side,
        })
    }

    fn input(outlet: &Outlet) -> Result<(Input, Vec<i64>), String> {
        let name = outlet.name().to_owned();
        let ValueType::Tensor { ty, shape, .. } = outlet.dtype() else {
            return Err(format!("its input '{name}' is no tensor"));
        };
        let integer = matches!(ty, TensorElementType::Int64 | TensorElementType::Int32);
        let float = matches!(ty, TensorElementType::Float32 | TensorElementType::Float16);
        let role = match name.as_str() {
            "attention_mask" if integer => Role::Mask,
            "token_type_ids" if integer => Role::Types,
            "position_ids" if integer => Role::Positions,
            // Exporters name these as they like.
            _ if integer && shape.len() == 2 => Role::Tokens,
            _ if float && shape.len() == 4 => Role::Pixels,
            _ => {
                return Err(format!(
                    "its input '{name}' is {}; known are token numbers [n, length], \
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

    pub fn takes(&self, role: Role) -> bool {
        self.inputs.iter().any(|input| input.role == role)
    }

    /// The first of `names` that it puts out, or its only output.
    pub fn output(&self, names: &[&str]) -> Option<&str> {
        let named = names
            .iter()
            .find_map(|name| self.outputs.iter().find(|output| output == name));
        let only = match self.outputs.as_slice() {
            [only] => Some(only),
            _ => None,
        };
        named.or(only).map(String::as_str)
    }

    pub fn puts_out(&self, name: &str) -> bool {
        self.outputs.iter().any(|output| output == name)
    }

    pub fn outputs(&self) -> String {
        self.outputs.join(", ")
    }

    /// Each of `outputs` in f32.
    ///
    /// # Errors
    /// What ONNX Runtime says, or that one is neither f32 nor f16.
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
            *found = numbers(&results[output])
                .map_err(|reason| format!("the output '{output}' cannot be read: {reason}"))?;
        }
        Ok(found)
    }
}

fn numbers(value: &DynValue) -> Result<Tensor, String> {
    if value.dtype().tensor_type() == Some(TensorElementType::Float16) {
        let (shape, numbers) = value
            .try_extract_tensor::<f16>()
            .map_err(|error| error.to_string())?;
        return Tensor::f_from_slice(numbers)
            .and_then(|numbers| numbers.f_to_kind(Kind::Float)?.f_view(&shape[..]))
            .map_err(|error| error.to_string());
    }
    let (shape, numbers) = value
        .try_extract_tensor::<f32>()
        .map_err(|error| error.to_string())?;
    Tensor::f_from_slice(numbers)
        .and_then(|numbers| numbers.f_view(&shape[..]))
        .map_err(|error| error.to_string())
}

impl Input {
    fn value(&self, feed: &Feed) -> ort::Result<SessionInputValue<'static>> {
        let numbers = match self.role {
            Role::Pixels => {
                let shape = [feed.pictures, 3, feed.side, feed.side];
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
            // Token numbers, places and marks fit.
            TensorElementType::Int32 => {
                let numbers: Vec<i32> = numbers.into_iter().map(|it| it as i32).collect();
                OrtTensor::from_array((shape, numbers))?.into()
            }
            _ => OrtTensor::from_array((shape, numbers))?.into(),
        })
    }
}
