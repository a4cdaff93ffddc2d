//! Compiles the C++ code between Rust and FAISS with FAISS's headers and the same instruction set
//! (`CXXFLAGS`).

fn main() {
    let Some(faiss) = std::env::var_os("DEP_FAISS_C_ROOT") else {
        println!(
            "cargo::error=faiss-sys did not report where it built FAISS; enable its feature 'static'"
        );
        return;
    };
    let folder = "src/vectors/native";
    println!("cargo::rerun-if-changed={folder}");
    println!("cargo::rerun-if-env-changed=CXXFLAGS");
    let mut build = cc::Build::new();
    sanitize(&mut build);
    build
        .cpp(true)
        .std("c++17")
        .opt_level(3)
        .define("NDEBUG", None)
        .define("FINTEGER", "int")
        .flag("-fopenmp")
        .include(std::path::Path::new(&faiss).join("include"))
        .files(
            [
                "build.cpp",
                "codes.cpp",
                "graph.cpp",
                "index.cpp",
                "inner_product.cpp",
                "scan.cpp",
            ]
            .map(|file| format!("{folder}/{file}")),
        )
        .compile("clipdb_vectors");
}

/// The sanitizers of `make sanitize`, as gcc names them: `address,undefined`.
const SANITIZERS: &str = "CLIPDB_SANITIZERS";

fn sanitize(build: &mut cc::Build) {
    println!("cargo::rerun-if-env-changed={SANITIZERS}");
    let Ok(sanitizers) = std::env::var(SANITIZERS) else {
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
