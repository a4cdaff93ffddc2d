//! Which device a model runs on, and the loading of LibTorch's CUDA half.
//!
//! The binary links only LibTorch's CPU library, so that it starts on any machine.
//! `libtorch_cuda.so` registers the CUDA backend when it is loaded, which must come
//! before LibTorch is first asked for one: [`choose`] is called before any tensor is
//! made.
#![allow(unsafe_code)]

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tch::Device;

use crate::{DeviceChoice, EmbedError};

const CPU_LIBRARY: &str = "libtorch_cpu.so";
const CUDA_LIBRARY: &str = "libtorch_cuda.so";

pub(crate) struct Chosen {
    pub device: Device,
    /// Nobody asked for it by name.
    pub automatic: bool,
    /// Why `auto` did not take CUDA.
    pub note: Option<String>,
}

impl Chosen {
    pub fn name(&self) -> String {
        match self.device {
            Device::Cuda(number) => format!("cuda:{number}"),
            _ => "cpu".to_owned(),
        }
    }
}

/// What an NVIDIA driver shows, on Linux and under WSL.
const DRIVER_FILES: [&str; 2] = ["/dev/nvidiactl", "/dev/dxg"];

/// # Errors
/// [`EmbedError::Device`] when CUDA is asked for by name and cannot be had.
pub(crate) fn choose(choice: DeviceChoice) -> Result<Chosen, EmbedError> {
    let automatic = choice == DeviceChoice::Auto;
    let chosen = |device, note| Chosen {
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
                    "there are {count} CUDA devices, counted from 0"
                )));
            }
            Ok(chosen(Device::Cuda(number), None))
        }
    }
}

/// Loads a model on the device chosen, or on the CPU when `auto` chose one that the model's
/// engine cannot use: ONNX Runtime's library may know no CUDA.
pub(crate) fn load_on<M>(
    chosen: Chosen,
    load: impl Fn(Device) -> Result<M, EmbedError>,
) -> Result<(M, Chosen), EmbedError> {
    match load(chosen.device) {
        Err(EmbedError::Device { device, reason }) if chosen.automatic => {
            tracing::info!(%device, %reason, "the model runs on the CPU");
            let cpu = Chosen {
                device: Device::Cpu,
                automatic: true,
                note: Some(reason),
            };
            Ok((load(Device::Cpu)?, cpu))
        }
        model => Ok((model?, chosen)),
    }
}

/// How many CUDA devices there are, at least one, or why there is none.
fn cuda_devices() -> Result<usize, String> {
    // Without a driver, why LibTorch's CUDA half does not load is no news to anybody.
    if !DRIVER_FILES.iter().any(|file| Path::new(file).exists()) {
        return Err("this machine shows no NVIDIA driver".to_owned());
    }
    load_cuda()?;
    if !tch::Cuda::is_available() {
        return Err(
            "LibTorch finds no device: the driver is older than CUDA 13 asks (580), or shows this \
             process none ('nvidia-smi' tells)"
                .to_owned(),
        );
    }
    match usize::try_from(tch::Cuda::device_count()) {
        Ok(count) if count > 0 => Ok(count),
        _ => Err("LibTorch counts no CUDA device".to_owned()),
    }
}

fn load_cuda() -> Result<(), String> {
    static LOADED: OnceLock<Result<(), String>> = OnceLock::new();
    LOADED
        .get_or_init(|| {
            let path = cuda_library()?;
            let flags = libloading::os::unix::RTLD_NOW | libloading::os::unix::RTLD_GLOBAL;
            // SAFETY: this is the CUDA half of the LibTorch already in this process,
            // from the same folder; its initialisers only register its operators.
            let library = unsafe { libloading::os::unix::Library::open(Some(&path), flags) }
                .map_err(|error| {
                    // The loader's own words are in the cause.
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    let cause = cause.unwrap_or_else(|| error.to_string());
                    format!(
                        "LibTorch's CUDA library does not load ({cause}); './setup.sh cuda' in \
                         clipdb's sources fetches what it needs"
                    )
                })?;
            // Its operators stay registered until the process ends: never unload it.
            std::mem::forget(library);
            Ok(())
        })
        .clone()
}

/// Beside the CPU library that this process runs on, wherever that was installed.
fn cuda_library() -> Result<PathBuf, String> {
    let maps = std::fs::read_to_string("/proc/self/maps")
        .map_err(|error| format!("/proc/self/maps cannot be read: {error}"))?;
    let cpu = mapped_library(&maps, CPU_LIBRARY)
        .ok_or_else(|| format!("{CPU_LIBRARY} is not among the loaded libraries"))?;
    let cuda = cpu.with_file_name(CUDA_LIBRARY);
    if cuda.exists() {
        Ok(cuda)
    } else {
        Err(format!("there is no {CUDA_LIBRARY} beside LibTorch"))
    }
}

/// The path of `name` in the text of a process's memory map. Each line is
/// `range perms offset device inode   path`, and a path may hold spaces.
fn mapped_library(maps: &str, name: &str) -> Option<PathBuf> {
    maps.lines()
        .filter_map(|line| line.find('/').map(|start| PathBuf::from(&line[start..])))
        .find(|path| path.file_name().is_some_and(|file| file == name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_library_that_is_mapped() {
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
    fn an_engine_without_the_device_that_auto_chose_has_the_cpu() {
        let gpu = |automatic| Chosen {
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
        assert!(path.is_ok() || path.unwrap_err().contains("beside LibTorch"));
    }

    #[test]
    fn cuda_by_name_is_had_or_refused() {
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
