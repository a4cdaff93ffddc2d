//! How an encoder runs. Every value has a default that suits two CPU cores.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::EmbedError;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncoderSettings {
    pub devices: Devices,
    pub precision: Precision,
    pub engine: EngineChoice,
    /// The ONNX Runtime library; `None` leaves the search to the system.
    pub onnx_runtime: Option<PathBuf>,
    /// Copies of the model on each device, each with weights and a device thread of its own.
    pub replicas: usize,
    /// Threads that share one operation on the CPU, for each replica.
    pub threads: usize,
    /// Threads that decode pictures and make tokens. One is left to searches, so
    /// there are at least two.
    pub decode_threads: usize,
    /// The most inputs in one batch; `None` lets the device decide.
    pub batch_size: Option<usize>,
    /// How long an ingest batch that is not full waits for more. Searches never wait.
    pub batch_delay: Duration,
    /// The most inputs taken in and not yet answered, for each priority, or two batches for
    /// each replica if that is more (up to 1024); senders beyond it wait outside.
    pub queue_capacity: usize,
    pub max_image_pixels: u64,
    /// Bytes that all decoding together may take.
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

/// `auto`, `cpu`, `cuda` (the first) or `cuda:N`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// CUDA when there is one, the CPU otherwise.
    #[default]
    Auto,
    Cpu,
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

/// Where replicas are loaded: each device gets as many. They all take work from one
/// queue, so a batch goes to whichever is free.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Devices(Vec<DeviceChoice>);

impl Devices {
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
                expected: "name each device once, such as cuda:0,cuda:1; 'replicas' puts several copies on one",
            });
        }
        Ok(Self(devices))
    }
}

/// What runs a model's networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EngineChoice {
    /// LibTorch, and ONNX Runtime for folders that hold graphs and no tensors.
    #[default]
    Auto,
    LibTorch,
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

/// The number format of weights and activations; embeddings are always f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    #[default]
    F32,
    F16,
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
    fn settings_read_back_as_written() {
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
    fn unknown_settings_name_the_choices() {
        for text in ["gpu", "cuda:", "cuda:-1", "CPU", ""] {
            let error = text.parse::<DeviceChoice>().unwrap_err().to_string();
            assert!(error.contains("cuda:N"), "{error}");
        }
        assert!("int8".parse::<Precision>().is_err());
    }
}
