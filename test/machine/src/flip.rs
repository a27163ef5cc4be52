//! Single bits of compiled code change: the verifier refuses it, or it runs where it reaches nothing but what is its own.
use crate::guard::{Ended, Windows, guarded};
use crate::script::{Outcome, Status};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use wasmote_compiler::{Code, Native, Options as Choice, Work, compile, marks, measure, verify};
use wasmote_engine::{Instance, Module, Options, Run, Summary, Value};

/// Fuel of each call.
const FUEL: u64 = 3000;
/// Exports that are called.
const CALLS: usize = 4;

/// So many bytes at a multiple of their number, a power of two.
fn window(bytes: usize) -> &'static mut [u8] {
    let size = bytes.next_power_of_two().max(32);
    let all = Vec::leak(vec![0_u8; 2 * size]);
    let first = all.as_ptr().align_offset(size);
    all.get_mut(first..first + size).unwrap_or(&mut [])
}

fn place(window: &[u8]) -> (u32, u32) {
    (window.as_ptr() as u32, window.len() as u32)
}

/// What came of the calls, so that it can be compared.
fn work(code: &[u8], module: Module<'_>, region: &mut [u8], calls: [Option<u32>; CALLS]) -> u32 {
    // SAFETY: the verifier took it; whether that is enough is what is looked at here, within the windows.
    let native = unsafe { Native::new(Code::of(code)) };
    let Ok(mut instance) = Instance::new(module, region, &Options::default()) else {
        return 0;
    };
    let mut sum = u32::from(instance.set_tier(Some(&native)));
    let mut fuel = u64::MAX;
    let _ = instance.run(&mut fuel);
    for function in calls.into_iter().flatten() {
        let mut left = FUEL;
        if instance.call(function, &[]).is_err() {
            break;
        }
        let ended = match instance.run(&mut left) {
            Run::Done => 1,
            Run::OutOfFuel => 2,
            Run::Trap(trap) => 3 + trap.kind as u32,
            Run::Host(_) => 100,
        };
        instance.cancel();
        sum = sum.wrapping_mul(31).wrapping_add(ended ^ left as u32);
    }
    instance.memory().iter().fold(sum, |sum, byte| {
        (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

/// Of a module, the table that validation made and what it said, so many bits.
pub(crate) fn flip(
    (given, emitted, summary): (&[u8], &[u32], &Summary),
    exports: &[String],
    seed: u32,
    count: u64,
) -> Outcome {
    let options = Options::default();
    let Some(module) = Module::new(given, emitted, summary) else {
        return Outcome::fault("the table is not the one that was emitted");
    };
    let choice = Choice::of(&module, &options);
    let mut memory = vec![0_u64; size_of::<Work>() / 8 + 2];
    // SAFETY: any bytes of the words may be seen as bytes.
    let (_, memory, _) = unsafe { memory.align_to_mut::<u8>() };
    let Some(room) = Work::within(memory) else {
        return Outcome::fault("no room to compile in");
    };
    let length = match measure(&module, choice, room) {
        Ok(length) => length as usize,
        Err(refusal) => return Outcome::fault(refusal.message()),
    };
    // The module, its table and its code lie in one window, which is only read and executed.
    let bytes = given.len().next_multiple_of(4);
    let table = size_of_val(emitted);
    let all = window(bytes + table + length);
    let windows_code = place(all);
    let (text, rest) = all.split_at_mut(bytes);
    let (words, arena) = rest.split_at_mut(table);
    let arena = arena.get_mut(..length).unwrap_or(&mut []);
    for (to, from) in text.iter_mut().zip(given) {
        *to = *from;
    }
    let from = emitted.iter().flat_map(|word| word.to_le_bytes());
    words.iter_mut().zip(from).for_each(|(to, from)| *to = from);
    // SAFETY: bytes of whole words, at a multiple of 4.
    let (_, words, _) = unsafe { words.align_to::<u32>() };
    let Some(module) = Module::new(text.get(..given.len()).unwrap_or(&[]), words, summary) else {
        return Outcome::fault("no module of its bytes and its table");
    };
    if let Err(refusal) = compile(&module, choice, room, arena) {
        return Outcome::fault(refusal.message());
    }
    let region = window(module.footprint(&options).total as usize);
    let windows = Windows {
        code: windows_code,
        data: place(region),
    };
    let mut calls = [None; CALLS];
    for (call, export) in calls.iter_mut().zip(exports) {
        *call = module.export_function(export);
    }
    let mut run = |code: &[u8]| {
        let mut sum = 0;
        let ended = guarded(&windows, || sum = work(code, module, region, calls));
        (ended, sum)
    };
    // Each way to end is there: a word of the heap, no instruction, a loop.
    let mut word = vec![0_u32];
    let heap = word.as_mut_ptr();
    let controls = [
        // SAFETY: a word that is borrowed by nobody; the write is not to come about.
        guarded(&windows, || unsafe { heap.write_volatile(1) }),
        guarded(&windows, || cortex_m::asm::udf()),
        guarded(&windows, || {
            loop {
                core::hint::spin_loop();
            }
        }),
    ];
    if controls != [Ended::Stopped, Ended::Unknown, Ended::Endless] || word != [0] {
        return Outcome::fault(&format!("what is not confined: {controls:?} {word:?}"));
    }
    let whole = run(arena);
    if whole.0 != Ended::Well {
        return Outcome::fault("code that was not changed was ended");
    }
    let mut room = vec![0; marks(length as u32)];
    let (mut ends, mut random) = ([0_i64; 5], seed | 1);
    for _ in 0..count {
        // Xorshift, of 32 bits.
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        let bit = random as usize % (length * 8);
        let change = |arena: &mut [u8]| {
            if let Some(byte) = arena.get_mut(bit / 8) {
                *byte ^= 1 << (bit % 8);
            }
        };
        change(arena);
        let end = match verify(arena, &module, &mut room) {
            Err(_) => 0,
            Ok(()) => 1 + run(arena).0 as usize,
        };
        change(arena);
        if let Some(count) = ends.get_mut(end) {
            *count += 1;
        }
    }
    if run(arena) != whole {
        return Outcome::fault("what was not changed comes to something else afterwards");
    }
    Outcome {
        values: ends.map(Value::I64).to_vec(),
        ..Outcome::new(Status::Ok, "")
    }
}
