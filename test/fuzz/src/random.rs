//! Random modules (crates.io `wasm-smith`), the same in every run.
use arbitrary::Unstructured;
use wasm_smith::Config;

/// Pseudo-random bytes that are the same in every run (xorshift64*).
pub fn random(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// What the engine takes, with everything exported and nothing imported. With floats, code is added that makes every NaN
/// that comes out of arithmetic the canonical one, since which one it is is left open (WebAssembly 2.0 §4.3.3).
pub fn config(floats: bool) -> Config {
    Config {
        max_imports: 0,
        min_funcs: 1,
        max_funcs: 8,
        min_exports: 1,
        export_everything: true,
        max_memories: 1,
        max_memory32_bytes: 4 * 65536,
        memory_max_size_required: true,
        max_tables: 3,
        max_table_elements: 64,
        table_max_size_required: true,
        bulk_memory_enabled: true,
        allow_floats: floats,
        canonicalize_nans: floats,
        compact_imports_enabled: false,
        exceptions_enabled: false,
        gc_enabled: false,
        memory64_enabled: false,
        multi_value_enabled: true,
        reference_types_enabled: true,
        relaxed_simd_enabled: false,
        saturating_float_to_int_enabled: true,
        sign_extension_ops_enabled: true,
        simd_enabled: false,
        tail_call_enabled: false,
        threads_enabled: false,
        wide_arithmetic_enabled: false,
        custom_page_sizes_enabled: false,
        extended_const_enabled: false,
        custom_descriptors_enabled: false,
        shared_everything_threads_enabled: false,
        allow_start_export: true,
        ..Config::default()
    }
}

/// The random module of a seed; none where there are not enough random bytes for one.
pub fn random_module(config: Config, seed: u64) -> Option<Vec<u8>> {
    let entropy = random(seed, 4096);
    let mut module = wasm_smith::Module::new(config, &mut Unstructured::new(&entropy)).ok()?;
    // Loops and calls count down from here, so that every run ends.
    module.ensure_termination(20_000).ok()?;
    Some(module.to_bytes())
}

/// A number from the environment, or this one.
pub fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|v| v.parse().ok())
        .unwrap_or(otherwise)
}

/// Generators and interpreters take more stack in a debug build than a test's thread has.
pub fn with_stack(work: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new()
        .stack_size(256 << 20)
        .spawn(work);
    if let Err(panic) = thread.expect("a thread").join() {
        std::panic::resume_unwind(panic);
    }
}

/// The same with imports in some, floats as they come, and memories with pages of other sizes.
pub fn imports(seed: u64) -> Config {
    let most = if seed.is_multiple_of(3) { 6 } else { 0 };
    Config {
        min_imports: most.min(1),
        max_imports: most,
        canonicalize_nans: false,
        custom_page_sizes_enabled: true,
        ..config(true)
    }
}
