//! Says whether there is a fast loop for the target: src/thumb.s, for Armv7E-M with single-precision floats.
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(fast_loop)");
    let target = std::env::var("TARGET").unwrap_or_default();
    // With every trust checked only the portable loop runs.
    if target == "thumbv7em-none-eabihf" && std::env::var_os("CARGO_FEATURE_CHECKED").is_none() {
        println!("cargo::rustc-cfg=fast_loop");
    }
}
