//! The settings of an encoder. The defaults suit two CPU cores.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::EmbedError;

/// The settings of an encoder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncoderSettings {
    /// The devices to load replicas on.
    pub devices: Devices,
    /// The type of weights and activations.
    pub precision: Precision,
    /// The library that runs the networks.
    pub engine: EngineChoice,
    /// The path of the ONNX Runtime library; `None` uses the system's library search.
    pub onnx_runtime: Option<PathBuf>,
    /// Copies of the model on each device. Each has its own weights and device thread.
    pub replicas: usize,
    /// Threads per replica for operations on the CPU.
    pub threads: usize,
    /// Threads that decode images and tokenize texts. At least two, because one is reserved for
    /// searches.
    pub decode_threads: usize,
    /// The most inputs in one batch; `None` chooses a default by device.
    pub batch_size: Option<usize>,
    /// The time that a partial batch of ingest waits for more inputs. Searches never wait.
    pub batch_delay: Duration,
    /// The most inputs in flight per priority. Two batches per replica apply instead if they are more
    /// (up to 1024). Further senders wait.
    pub queue_capacity: usize,
    /// The most pixels (width × height) of an image.
    pub max_image_pixels: u64,
    /// The memory budget of all concurrent decodes, in bytes.
    pub decode_memory: u64,
}

impl Default for EncoderSettings {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Self {
            devices: Devices::default(),
            precision: Precision::F32,
            replicas: 1,
            engine: EngineChoice::Auto,
            onnx_runtime: None,
            threads: cores,
            decode_threads: cores.max(2),
            batch_size: None,
            batch_delay: Duration::ZERO,
            queue_capacity: 64,
            max_image_pixels: 64_000_000,
            decode_memory: 1 << 30,
        }
    }
}

/// A device: `auto`, `cpu`, `cuda` (the first) or `cuda:N`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// The first CUDA device, or the CPU without one.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The CUDA device with this number, counted from 0.
    Cuda(usize),
}

impl FromStr for DeviceChoice {
    type Err = EmbedError;

    fn from_str(text: &str) -> Result<Self, EmbedError> {
        let number = text.strip_prefix("cuda:").map(str::parse);
        match (text, number) {
            ("auto", _) => Ok(Self::Auto),
            ("cpu", _) => Ok(Self::Cpu),
            ("cuda", _) => Ok(Self::Cuda(0)),
            (_, Some(Ok(number))) => Ok(Self::Cuda(number)),
            _ => Err(EmbedError::Setting {
                setting: "device",
                value: text.to_owned(),
                expected: "use auto, cpu, cuda or cuda:N",
            }),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

/// The devices to load replicas on, the same number on each. All replicas take batches from the same
/// queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Devices(Vec<DeviceChoice>);

impl Devices {
    /// The devices in the given order.
    pub fn iter(&self) -> impl Iterator<Item = DeviceChoice> + '_ {
        self.0.iter().copied()
    }
}

impl Default for Devices {
    fn default() -> Self {
        DeviceChoice::default().into()
    }
}

impl From<DeviceChoice> for Devices {
    fn from(device: DeviceChoice) -> Self {
        Self(vec![device])
    }
}

impl FromStr for Devices {
    type Err = EmbedError;

    fn from_str(text: &str) -> Result<Self, EmbedError> {
        let devices = text
            .split(',')
            .map(|device| device.trim().parse())
            .collect::<Result<Vec<DeviceChoice>, _>>()?;
        let twice = (1..devices.len()).any(|n| devices[..n].contains(&devices[n]));
        if twice || (devices.len() > 1 && devices.contains(&DeviceChoice::Auto)) {
            return Err(EmbedError::Setting {
                setting: "device",
                value: text.to_owned(),
                expected: "name each device once, such as cuda:0,cuda:1; use 'replicas' for several copies on one device",
            });
        }
        Ok(Self(devices))
    }
}

/// The library that runs a model's networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EngineChoice {
    /// LibTorch, or ONNX Runtime for folders with graphs and without tensors.
    #[default]
    Auto,
    /// LibTorch.
    LibTorch,
    /// ONNX Runtime.
    Onnx,
}

impl FromStr for EngineChoice {
    type Err = EmbedError;

    fn from_str(text: &str) -> Result<Self, EmbedError> {
        match text {
            "auto" => Ok(Self::Auto),
            "libtorch" => Ok(Self::LibTorch),
            "onnx" => Ok(Self::Onnx),
            _ => Err(EmbedError::Setting {
                setting: "engine",
                value: text.to_owned(),
                expected: "use auto, libtorch or onnx",
            }),
        }
    }
}

/// The type of weights and activations. Embeddings are always f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// IEEE 754 single precision.
    #[default]
    F32,
    /// IEEE 754 half precision.
    F16,
    /// bfloat16.
    Bf16,
}

impl Precision {
    pub(crate) fn kind(self) -> tch::Kind {
        match self {
            Self::F32 => tch::Kind::Float,
            Self::F16 => tch::Kind::Half,
            Self::Bf16 => tch::Kind::BFloat16,
        }
    }

    pub(crate) fn of(kind: tch::Kind) -> Self {
        match kind {
            tch::Kind::Half => Self::F16,
            tch::Kind::BFloat16 => Self::Bf16,
            _ => Self::F32,
        }
    }
}

impl FromStr for Precision {
    type Err = EmbedError;

    fn from_str(text: &str) -> Result<Self, EmbedError> {
        match text {
            "f32" => Ok(Self::F32),
            "f16" => Ok(Self::F16),
            "bf16" => Ok(Self::Bf16),
            _ => Err(EmbedError::Setting {
                setting: "precision",
                value: text.to_owned(),
                expected: "use f32, f16 or bf16",
            }),
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_survive_a_round_trip() {
        for text in ["auto", "cpu", "cuda:3"] {
            assert_eq!(text.parse::<DeviceChoice>().unwrap().to_string(), text);
        }
        assert_eq!(
            "cuda".parse::<DeviceChoice>().unwrap(),
            DeviceChoice::Cuda(0)
        );
        for text in ["f32", "f16", "bf16"] {
            assert_eq!(text.parse::<Precision>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn devices_are_named_once() {
        let devices: Devices = "cuda:0, cuda:1".parse().unwrap();
        let named: Vec<_> = devices.iter().collect();
        assert_eq!(named, [DeviceChoice::Cuda(0), DeviceChoice::Cuda(1)]);
        for wrong in ["cuda:0,cuda:0", "auto,cpu", "cuda:0,", ""] {
            assert!(wrong.parse::<Devices>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn unknown_settings_list_the_choices() {
        for text in ["gpu", "cuda:", "cuda:-1", "CPU", ""] {
            let error = text.parse::<DeviceChoice>().unwrap_err().to_string();
            assert!(error.contains("cuda:N"), "{error}");
        }
        assert!("int8".parse::<Precision>().is_err());
    }
}
