//! What OpenMP, LibTorch and NVIDIA's libraries read from the environment, OpenMP before `main`.

use std::env;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// A variable, and what it is set to where neither it nor another that says the same is.
struct Setting {
    names: &'static [&'static str],
    value: &'static str,
}

/// How OpenMP's threads, LibTorch's and FAISS's, wait for work: asleep. By default libgomp's
/// spin. Beside any other busy process on the same cores that costs most of the time: a server
/// on 2 cores at a load of 8 embedded 32 pictures in 20 seconds spinning and in 2 to 4 sleeping.
const WAITING: Setting = Setting {
    names: &["OMP_WAIT_POLICY", "GOMP_SPINCOUNT"],
    value: "passive",
};

/// The same for OpenBLAS, whose threads would spin for 2^26 cycles after each product, FAISS's and
/// those of LibTorch's that its symbols take over. The value is the exponent; 4 is the least. An
/// ingest of images on 2 cores had 26 to 28 a second spinning and 31 so, by turns.
const WAITING_OF_PRODUCTS: Setting = Setting {
    names: &["OPENBLAS_THREAD_TIMEOUT"],
    value: "4",
};

/// LibTorch asks for pages of 2 MiB, where the machine gives them: a text reads every weight
/// once, which takes up to a tenth longer in pages of 4 KiB.
const PAGES: Setting = Setting {
    names: &["THP_MEM_ALLOC_ENABLE"],
    value: "1",
};

/// On a GPU cuDNN and cuBLAS round the factors of a product to ten bits where they may, as
/// LibTorch lets cuDNN: vectors of the bundled model were off by 1e-3. `f32` means f32; who
/// wants speed has `f16`.
const EXACT: Setting = Setting {
    names: &["NVIDIA_TF32_OVERRIDE", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE"],
    value: "0",
};

/// On an H100 or H200 attention in half precision is cuDNN's unless told otherwise, which
/// compiles for each number of inputs and tokens that it meets: a batch of 32 pictures took 67 ms
/// instead of 5. Next in line is FlashAttention.
const ATTENTION: Setting = Setting {
    names: &["TORCH_CUDNN_SDPA_DEPRIORITIZED"],
    value: "1",
};

/// The flag that is moved out of the command line, which every user of the machine can read, into
/// the environment, which only this one can.
const KEY_FLAG: &str = "--api-key";
const KEY_VARIABLE: &str = "CLIPDB_API_KEY";

/// Starts this program anew with what is not set by whoever started it. The process keeps its id.
pub fn prepare() {
    let missing: Vec<Setting> = [WAITING, WAITING_OF_PRODUCTS, PAGES, EXACT, ATTENTION]
        .into_iter()
        .filter(|setting| setting.names.iter().all(|name| env::var_os(name).is_none()))
        .collect();
    start_again(missing);
}

/// The same for a command that computes nothing: the key alone leaves the command line.
pub fn hide_key() {
    start_again(Vec::new());
}

fn start_again(missing: Vec<Setting>) {
    let (arguments, key) = without_key(env::args_os());
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
    // Only a failure returns: the server works all the same, slower, and on a GPU less exactly.
    eprintln!(
        "clipdb: could not start anew with settings for its libraries ({error}): it is slower, and \
         f32 on a GPU is rounded"
    );
}

/// What is made from here on is its owner's alone: documents are nobody else's.
pub fn keep_files_private() {
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
}

/// The arguments without `--api-key KEY`, and the key.
fn without_key(arguments: impl Iterator<Item = OsString>) -> (Vec<OsString>, Option<OsString>) {
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
            let (kept, key) = without_key(line.split(' ').map(OsString::from));
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
