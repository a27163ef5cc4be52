//! Gives the linker the memory of the emulated board, when the image is built.
fn main() {
    println!("cargo:rerun-if-changed=memory.x");
    println!("cargo:rerun-if-changed=engine.x");
    if std::env::var_os("CARGO_FEATURE_CORTEX_M4").is_some() {
        let here = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
        println!("cargo:rustc-link-search={here}");
        println!("cargo:rustc-link-arg-bins=-Tlink.x");
        println!("cargo:rustc-link-arg-bins=--nmagic");
        println!("cargo:rustc-link-arg-bin=engine=-Tengine.x");
    }
}
