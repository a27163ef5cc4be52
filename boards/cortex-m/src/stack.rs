//! The stack, which both Cortex-M boards have at the beginning of their RAM (memory.x): one that grows too large faults at
//! once below the RAM and starts the node anew, instead of overwriting what is static without a word.
unsafe extern "C" {
    static mut _stack_end: u32;
    static mut _stack_start: u32;
}

/// Bytes of the stack.
pub fn size() -> u32 {
    (&raw const _stack_start) as u32 - (&raw const _stack_end) as u32
}

/// Bytes of it that were never used: the start-up code has painted them.
pub fn free() -> u32 {
    let end = &raw const _stack_end;
    let words = (0..size() / 4).take_while(|i| {
        // SAFETY: between the end of the stack and its beginning, all of it RAM.
        unsafe { end.add(*i as usize).read_volatile() == 0xcccc_cccc }
    });
    words.count() as u32 * 4
}
