//! libFuzzer's target `validate`: see [`wasmote_fuzz::judge`].
#![no_main]

mod mutate;
mod tally;

use mutate::mutate;
use tally::tally;
use wasmote_fuzz::judge;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    tally(judge(bytes).is_ok());
});

libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutate(data, size, max_size, seed)
});
