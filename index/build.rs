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
    cc::Build::new()
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
