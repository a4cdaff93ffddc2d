//! Compiles the C++ kernels for packed weights, once per instruction set (the choice is made at run
//! time), and the C code that calls libjpeg-turbo.

use std::env;

const SOURCE: &str = "src/towers/native/panel.cpp";
const KERNELS: [(&str, &[&str]); 2] = [
    ("clipdb_panel_avx512", &["-mavx512f"]),
    // Overrides other flags, such as those in CXXFLAGS.
    ("clipdb_panel_avx2", &["-mavx2", "-mfma", "-mno-avx512f"]),
];

const JPEG: &str = "src/image/native/jpeg.c";

fn main() {
    println!("cargo::rerun-if-changed={JPEG}");
    let mut jpeg = cc::Build::new();
    jpeg.std("c11").opt_level(2).file(JPEG);
    sanitize(&mut jpeg);
    // Set by turbojpeg-sys, which builds the library.
    for folder in env::var("DEP_TURBOJPEG_INCLUDE")
        .iter()
        .flat_map(|folders| folders.split(','))
    {
        jpeg.include(folder);
    }
    jpeg.compile("clipdb_jpeg");
    println!("cargo::rerun-if-changed={SOURCE}");
    if env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "x86_64") {
        for (name, flags) in KERNELS {
            let mut build = cc::Build::new();
            build
                .cpp(true)
                .std("c++17")
                .opt_level(3)
                .define("NDEBUG", None)
                .define("PANEL_MULTIPLY", name)
                .file(SOURCE);
            for flag in flags {
                build.flag(flag);
            }
            sanitize(&mut build);
            build.compile(name);
        }
    }
    // For `threads`: the OpenMP library that LibTorch loads.
    println!("cargo::rustc-link-lib=gomp");
}

/// The sanitizers of `make sanitize`, as gcc names them: `address,undefined`.
const SANITIZERS: &str = "CLIPDB_SANITIZERS";

fn sanitize(build: &mut cc::Build) {
    println!("cargo::rerun-if-env-changed={SANITIZERS}");
    let Ok(sanitizers) = env::var(SANITIZERS) else {
        return;
    };
    build
        .flag(format!("-fsanitize={sanitizers}"))
        .flag("-fno-sanitize-recover=all")
        .flag("-fno-omit-frame-pointer");
    for (sanitizer, runtime) in [("address", "asan"), ("undefined", "ubsan")] {
        if sanitizers.contains(sanitizer) {
            println!("cargo::rustc-link-lib=dylib={runtime}");
        }
    }
}
