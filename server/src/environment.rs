//! Environment variables of OpenMP, OpenBLAS, LibTorch and NVIDIA's libraries. OpenMP reads them
//! before `main`, so the process has to execute itself again to set them.

use std::env;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// A variable and its value, unless the user has set it or an equivalent one.
struct Setting {
    /// The variable, and others with the same effect.
    names: &'static [&'static str],
    value: &'static str,
}

/// OpenMP threads of LibTorch and FAISS sleep while they wait for work. By default libgomp's threads
/// spin, which takes most of the CPU time if other processes are busy on the same cores: on 2 cores
/// at a load of 8, a server embedded 32 images in 20 seconds spinning and in 2 to 4 sleeping.
const OPENMP_WAIT: Setting = Setting {
    names: &["OMP_WAIT_POLICY", "GOMP_SPINCOUNT"],
    value: "passive",
};

/// The same for OpenBLAS, whose threads spin for 2^26 cycles after each matrix product of FAISS, and
/// of LibTorch where OpenBLAS's symbols replace its own. The value is the exponent; the minimum is 4.
/// In alternating runs on 2 cores, ingest reached 26 to 28 images per second spinning and 31
/// sleeping.
const OPENBLAS_WAIT: Setting = Setting {
    names: &["OPENBLAS_THREAD_TIMEOUT"],
    value: "4",
};

/// LibTorch requests pages of 2 MiB. Encoding a text reads every weight once, which takes up to 10%
/// longer in pages of 4 KiB.
const HUGE_PAGES: Setting = Setting {
    names: &["THP_MEM_ALLOC_ENABLE"],
    value: "1",
};

/// On a GPU, cuDNN and cuBLAS may round the factors of a product to the ten bits of TF32, and LibTorch
/// allows cuDNN to: vectors of the bundled model were off by 1e-3. `f32` means f32; `f16` is there for
/// speed.
const NO_TF32: Setting = Setting {
    names: &["NVIDIA_TF32_OVERRIDE", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE"],
    value: "0",
};

/// On an H100 or H200, attention in half precision defaults to cuDNN, which compiles a kernel for each
/// combination of batch size and token count: a batch of 32 images took 67 ms instead of 5. The next
/// choice is FlashAttention.
const NO_CUDNN_ATTENTION: Setting = Setting {
    names: &["TORCH_CUDNN_SDPA_DEPRIORITIZED"],
    value: "1",
};

/// The flag that is moved from the command line, which every user of the machine can read, to the
/// environment, which only the owner of the process can.
const KEY_FLAG: &str = "--api-key";
const KEY_VARIABLE: &str = "CLIPDB_API_KEY";

/// Executes this program again with the variables that are not set. The process id stays the same.
pub fn prepare() {
    let missing: Vec<Setting> = [
        OPENMP_WAIT,
        OPENBLAS_WAIT,
        HUGE_PAGES,
        NO_TF32,
        NO_CUDNN_ATTENTION,
    ]
    .into_iter()
    .filter(|setting| setting.names.iter().all(|name| env::var_os(name).is_none()))
    .collect();
    execute_again(missing);
}

/// Only moves the key out of the command line, for commands that compute nothing.
pub fn hide_key() {
    execute_again(Vec::new());
}

fn execute_again(missing: Vec<Setting>) {
    let (arguments, key) = split_key(env::args_os());
    if missing.is_empty() && key.is_none() {
        return;
    }
    let mut arguments = arguments.into_iter();
    let Ok(program) = env::current_exe() else {
        return;
    };
    let mut command = Command::new(program);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    command.args(arguments);
    for setting in missing {
        command.env(setting.names[0], setting.value);
    }
    if let Some(key) = key {
        command.env(KEY_VARIABLE, key);
    }
    let error = command.exec();
    // Only a failure returns. The server still works, slower, and on a GPU less precisely.
    eprintln!(
        "clipdb: could not execute itself again with settings for its libraries ({error}): inference \
         is slower, and f32 on a GPU is rounded"
    );
}

/// Files created from here on are accessible to their owner only.
pub fn keep_files_private() {
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
}

/// The arguments without `--api-key KEY`, and the key.
fn split_key(arguments: impl Iterator<Item = OsString>) -> (Vec<OsString>, Option<OsString>) {
    let mut arguments = arguments.peekable();
    let mut kept = Vec::new();
    let mut key = None;
    let with_value = format!("{KEY_FLAG}=");
    while let Some(argument) = arguments.next() {
        if argument == "--" {
            kept.push(argument);
            kept.extend(arguments);
            break;
        }
        if argument == KEY_FLAG && arguments.peek().is_some() {
            key = arguments.next();
        } else if let Some(value) = argument.as_bytes().strip_prefix(with_value.as_bytes()) {
            key = Some(OsString::from_vec(value.to_vec()));
        } else {
            kept.push(argument);
        }
    }
    (kept, key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_leaves_the_command_line() {
        let split = |line: &str| {
            let (kept, key) = split_key(line.split(' ').map(OsString::from));
            let kept: Vec<String> = kept
                .into_iter()
                .map(|argument| argument.into_string().unwrap())
                .collect();
            (kept.join(" "), key.and_then(|key| key.into_string().ok()))
        };
        let secret = Some("a-secret".to_owned());
        for line in [
            "clipdb serve --api-key a-secret --data d",
            "clipdb serve --api-key=a-secret --data d",
        ] {
            assert_eq!(
                split(line),
                ("clipdb serve --data d".to_owned(), secret.clone())
            );
        }
        for line in [
            "clipdb serve --data d",
            "clipdb serve --api-key-file f",
            "clipdb serve --api-key",
            "clipdb search -- --api-key words",
        ] {
            assert_eq!(split(line), (line.to_owned(), None));
        }
    }
}
