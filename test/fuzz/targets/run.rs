//! libFuzzer's target `run`: see [`wasmote_fuzz::execute`].
#![no_main]

mod mutate;
mod tally;

use libfuzzer_sys::Corpus;
use mutate::mutate;
use tally::tally;
use wasmote_fuzz::execute;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| -> Corpus {
    if tally(execute(bytes)) {
        Corpus::Keep
    } else {
        Corpus::Reject
    }
});

libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutate(data, size, max_size, seed)
});
