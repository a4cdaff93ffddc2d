//! The choice of a model's device, and loading LibTorch's CUDA library.
//!
//! The binary links only LibTorch's CPU library, so that it runs on any machine. `libtorch_cuda.so`
//! registers the CUDA backend when it is loaded. That must happen before the first use of the
//! backend, so [`choose`] is called before any tensor is created.
#![allow(unsafe_code)]

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tch::Device;

use crate::{DeviceChoice, EmbedError};

const CPU_LIBRARY: &str = "libtorch_cpu.so";
const CUDA_LIBRARY: &str = "libtorch_cuda.so";

/// The device that a model runs on.
pub(crate) struct ChosenDevice {
    pub device: Device,
    /// The device was not requested by name.
    pub automatic: bool,
    /// The reason why `auto` did not choose CUDA.
    pub note: Option<String>,
}

impl ChosenDevice {
    /// `cpu` or `cuda:0` and so on.
    pub fn name(&self) -> String {
        match self.device {
            Device::Cuda(number) => format!("cuda:{number}"),
            _ => "cpu".to_owned(),
        }
    }
}

/// Device files of an NVIDIA driver, on Linux and under WSL.
const DRIVER_FILES: [&str; 2] = ["/dev/nvidiactl", "/dev/dxg"];

/// Chooses a device.
///
/// # Errors
/// [`EmbedError::Device`] if CUDA is requested by name and not available.
pub(crate) fn choose(choice: DeviceChoice) -> Result<ChosenDevice, EmbedError> {
    let automatic = choice == DeviceChoice::Auto;
    let chosen = |device, note| ChosenDevice {
        device,
        automatic,
        note,
    };
    let refuse = |reason: String| EmbedError::Device {
        device: choice.to_string(),
        reason,
    };
    match choice {
        DeviceChoice::Cpu => Ok(chosen(Device::Cpu, None)),
        DeviceChoice::Auto => match cuda_devices() {
            Ok(_) => Ok(chosen(Device::Cuda(0), None)),
            Err(reason) => {
                tracing::info!(%reason, "no CUDA device: the model runs on the CPU");
                Ok(chosen(Device::Cpu, Some(reason)))
            }
        },
        DeviceChoice::Cuda(number) => {
            let count = cuda_devices().map_err(refuse)?;
            if number >= count {
                return Err(refuse(format!(
                    "there are {count} CUDA devices, numbered from 0"
                )));
            }
            Ok(chosen(Device::Cuda(number), None))
        }
    }
}

/// Loads a model on the chosen device, or on the CPU if `auto` chose a device that the model's
/// engine cannot use: the ONNX Runtime library may lack CUDA.
pub(crate) fn load_on<M>(
    chosen: ChosenDevice,
    load: impl Fn(Device) -> Result<M, EmbedError>,
) -> Result<(M, ChosenDevice), EmbedError> {
    match load(chosen.device) {
        Err(EmbedError::Device { device, reason }) if chosen.automatic => {
            tracing::info!(%device, %reason, "the model runs on the CPU");
            let cpu = ChosenDevice {
                device: Device::Cpu,
                automatic: true,
                note: Some(reason),
            };
            Ok((load(Device::Cpu)?, cpu))
        }
        model => Ok((model?, chosen)),
    }
}

/// The number of CUDA devices, at least one, or the reason why there is none.
fn cuda_devices() -> Result<usize, String> {
    // Without a driver, the reason why LibTorch's CUDA library fails to load does not matter.
    if !DRIVER_FILES.iter().any(|file| Path::new(file).exists()) {
        return Err("this machine has no NVIDIA driver".to_owned());
    }
    load_cuda()?;
    if !tch::Cuda::is_available() {
        return Err(
            "LibTorch finds no device: the driver is older than CUDA 13 requires (580), or hides the \
             devices from this process (check 'nvidia-smi')"
                .to_owned(),
        );
    }
    match usize::try_from(tch::Cuda::device_count()) {
        Ok(count) if count > 0 => Ok(count),
        _ => Err("LibTorch finds no CUDA device".to_owned()),
    }
}

fn load_cuda() -> Result<(), String> {
    static LOADED: OnceLock<Result<(), String>> = OnceLock::new();
    LOADED
        .get_or_init(|| {
            let path = cuda_library()?;
            let flags = libloading::os::unix::RTLD_NOW | libloading::os::unix::RTLD_GLOBAL;
            // SAFETY: the library belongs to the LibTorch that is already loaded, from the same
            // folder. Its initialisers only register its operators.
            let library = unsafe { libloading::os::unix::Library::open(Some(&path), flags) }
                .map_err(|error| {
                    // The cause contains the dynamic loader's message.
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    let cause = cause.unwrap_or_else(|| error.to_string());
                    format!(
                        "LibTorch's CUDA library does not load ({cause}); './setup.sh cuda' in \
                         clipdb's sources installs its dependencies"
                    )
                })?;
            // Its operators stay registered until the process ends, so it must not be unloaded.
            std::mem::forget(library);
            Ok(())
        })
        .clone()
}

/// The path of the CUDA library: in the folder of the CPU library that this process has loaded.
fn cuda_library() -> Result<PathBuf, String> {
    let maps = std::fs::read_to_string("/proc/self/maps")
        .map_err(|error| format!("/proc/self/maps cannot be read: {error}"))?;
    let cpu = mapped_library(&maps, CPU_LIBRARY)
        .ok_or_else(|| format!("{CPU_LIBRARY} is not among the loaded libraries"))?;
    let cuda = cpu.with_file_name(CUDA_LIBRARY);
    if cuda.exists() {
        Ok(cuda)
    } else {
        Err(format!("LibTorch's folder has no {CUDA_LIBRARY}"))
    }
}

/// The path of the library `name` in a process's memory map. Each line is
/// `range perms offset device inode   path`, and a path may contain spaces.
fn mapped_library(maps: &str, name: &str) -> Option<PathBuf> {
    maps.lines()
        .filter_map(|line| line.find('/').map(|start| PathBuf::from(&line[start..])))
        .find(|path| path.file_name().is_some_and(|file| file == name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_mapped_library() {
        let maps = "7f00-7f01 r-xp 00000000 08:01 12    /usr/lib/libc.so.6\n\
                    7f02-7f03 rw-p 00000000 00:00 0 \n\
                    7f04-7f05 r--p 00000000 08:01 13    /opt/my torch/lib/libtorch_cpu.so\n";
        assert_eq!(
            mapped_library(maps, CPU_LIBRARY),
            Some(PathBuf::from("/opt/my torch/lib/libtorch_cpu.so"))
        );
        assert_eq!(mapped_library(maps, CUDA_LIBRARY), None);
    }

    #[test]
    fn auto_falls_back_to_the_cpu_if_the_engine_lacks_the_device() {
        let gpu = |automatic| ChosenDevice {
            device: Device::Cuda(0),
            automatic,
            note: None,
        };
        let load = |device| match device {
            Device::Cpu => Ok("a model"),
            _ => Err(EmbedError::Device {
                device: "cuda:0".to_owned(),
                reason: "no CUDA here".to_owned(),
            }),
        };
        let (_, chosen) = load_on(gpu(true), load).unwrap();
        assert_eq!(chosen.device, Device::Cpu);
        assert_eq!(chosen.note.as_deref(), Some("no CUDA here"));
        assert!(matches!(
            load_on(gpu(false), load),
            Err(EmbedError::Device { .. })
        ));
    }

    #[test]
    fn the_loaded_libtorch_is_found() {
        tch::set_num_threads(1); // links LibTorch into this test
        let path = cuda_library();
        assert!(path.is_ok() || path.unwrap_err().contains("LibTorch's folder"));
    }

    #[test]
    fn cuda_by_name_is_available_or_an_error() {
        match choose(DeviceChoice::Cuda(4096)) {
            Err(EmbedError::Device { device, reason }) => {
                assert_eq!(device, "cuda:4096");
                assert!(!reason.is_empty());
            }
            _ => panic!("there are not that many devices"),
        }
        let auto = choose(DeviceChoice::Auto).unwrap();
        assert_eq!(auto.device == Device::Cpu, auto.note.is_some());
    }
}
