//! libFuzzer's target `secure`: see [`wasmote_fuzz::secure`].
#![no_main]

mod tally;

use tally::tally;
use wasmote_fuzz::secure;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    tally(secure(bytes));
});
