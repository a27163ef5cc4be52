//! Gives the linker the memory of the emulated board, and compiles wasm3 where it is asked for.
fn main() {
    println!("cargo:rerun-if-changed=memory.x");
    let here = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    if std::env::var_os("CARGO_FEATURE_CHIP").is_some() {
        println!("cargo:rustc-link-search={here}");
        println!("cargo:rustc-link-arg-bins=-Tlink.x");
        println!("cargo:rustc-link-arg-bins=--nmagic");
    }
    #[cfg(feature = "wasm3")]
    wasm3(&here);
}

/// wasm3 as it comes, at -O3, by GCC: its operations end in tail calls, which clang does not make of calls that pass
/// arguments on the stack. The headers of a C library that it wants are in libc/, the functions in src/engines/wasm3.rs.
#[cfg(feature = "wasm3")]
fn wasm3(here: &str) {
    println!("cargo:rerun-if-env-changed=WASM3_SOURCE");
    println!("cargo:rerun-if-changed=libc");
    let Ok(source) = std::env::var("WASM3_SOURCE") else {
        panic!(
            "WASM3_SOURCE is to name the folder of wasm3.h: build with `npm run bench -- engine`"
        );
    };
    let files = "bind code compile core env exec function info module parse validate";
    cc::Build::new()
        .compiler("arm-none-eabi-gcc")
        .archiver("arm-none-eabi-ar")
        .no_default_flags(true)
        .warnings(false)
        .flags("-mcpu=cortex-m4 -mthumb -mfpu=fpv4-sp-d16 -mfloat-abi=hard -O3".split(' '))
        .flags(
            "-ffreestanding -fbuiltin -fno-math-errno -ffunction-sections -fdata-sections"
                .split(' '),
        )
        // As its own settings for microcontrollers have it (m3_config_platforms.h), which costs no speed and saves RAM.
        .define("d_m3CodePageAlignSize", "1024")
        .define("d_m3MaxFunctionStackHeight", "256")
        .define("d_m3LogOutput", "0")
        .include(format!("{here}/libc"))
        .include(&source)
        .files(files.split(' ').map(|file| format!("{source}/m3_{file}.c")))
        .compile("wasm3");
}
