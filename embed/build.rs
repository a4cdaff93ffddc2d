//! Compiles the C++ that multiplies by panels. It picks its instructions when it runs.

fn main() {
    let source = "src/towers/native/panels.cpp";
    println!("cargo::rerun-if-changed={source}");
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .opt_level(3)
        .define("NDEBUG", None)
        .file(source)
        .compile("clipdb_panels");
    // For `threads`: LibTorch's own, which is in the process anyway.
    println!("cargo::rustc-link-lib=gomp");
}
