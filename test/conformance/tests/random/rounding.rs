//! f32 made whole, chosen from two, and converted, at every kind of number: compiled code on the emulated chip comes to the bits of the
//! interpreter here.
use crate::chip::facts;
use crate::edges::on_both;
use wasmote_engine::Value;
use wasmote_machine::{Command, Settings, Status};

/// Zeros, subnormals, halves, whole numbers, where fractions and the ranges of integers end, infinities and NaNs, of both signs.
fn numbers() -> Vec<u32> {
    let mut all = vec![0, 1, 0x007f_ffff, 0x0080_0000, 0x7f80_0000, 0x7fc0_0000];
    all.extend([0x7f80_0001, 0x7fff_ffff, 0x7f7f_ffff, 0x4049_0fdb]);
    for power in [-2, -1, 0, 1, 2, 7, 22, 23, 24, 30, 31, 32, 62, 63, 64] {
        let whole = 2_f32.powi(power).to_bits();
        all.extend([whole - 1, whole, whole + 1]);
        all.extend([0.25, 0.5, 0.75, 1.5].map(|part| (2_f32.powi(power) + part).to_bits()));
    }
    let negative = all.iter().map(|bits| bits | 1 << 31).collect::<Vec<_>>();
    all.extend(negative);
    all
}

#[test]
#[ignore = "needs QEMU and dist/machine.elf; test/engine/conformance.test.ts runs it"]
fn roundings_come_to_the_same_on_the_chip() {
    let mut rows = Vec::new();
    let (x, y) = (
        "(f32.reinterpret_i32 (local.get 0))",
        "(f32.reinterpret_i32 (local.get 1))",
    );
    for op in ["floor", "ceil", "trunc", "nearest"] {
        rows.push(format!("(i32.reinterpret_f32 (f32.{op} {x}))"));
        for to in ["s", "u"] {
            rows.push(format!("(i32.trunc_sat_f32_{to} (f32.{op} {x}))"));
        }
        // Into a local, beside other operands, and of what is in a register already.
        rows.push(format!(
            "(local.set 3 (f32.mul {x} (f32.const 3))) (f32.add (local.get 3) (local.get 3)) (i32.reinterpret_f32)
             (local.set 2 (i32.trunc_sat_f32_s (f32.{op} (local.get 3)))) (local.get 2) (i32.xor)"
        ));
    }
    for op in ["min", "max"] {
        rows.push(format!("(i32.reinterpret_f32 (f32.{op} {x} {y}))"));
    }
    let functions = rows
        .iter()
        .enumerate()
        .fold(String::new(), |text, (i, row)| {
            format!(
                "{text} (func (export \"{i}\") (param i32 i32) (result i32) (local i32 f32) {row})"
            )
        });
    let text = format!("(module {functions})");
    let buffer = wast::parser::ParseBuffer::new(&text).expect("its tokens");
    let mut module: wast::Wat<'_> = wast::parser::parse(&buffer).expect("a module");
    let bytes = module.encode().expect("its bytes");
    let name = || String::from("m");
    let mut commands = vec![Command::Instantiate(name(), bytes)];
    let numbers = numbers();
    for index in 0..rows.len() {
        for (place, number) in numbers.iter().enumerate() {
            // Of two, beside equal ones, each with some others.
            let others = [0, 1, numbers.len() / 2, 61].map(|by| (place + by) % numbers.len());
            let two = index >= rows.len() - 2;
            for other in others.into_iter().take(if two { 4 } else { 1 }) {
                let values = [*number, numbers[other]].map(|bits| Value::I32(bits.cast_signed()));
                commands.push(Command::Invoke(name(), index.to_string(), values.to_vec()));
            }
        }
    }
    let settings = Settings {
        slice: 1 << 20,
        fuel: 1 << 20,
        pages: 0,
        entries: 0,
        stack: 16 * 1024,
        strict: false,
        compiled: true,
    };
    let (here, there) = on_both("rounding", &settings, &commands);
    assert_eq!(there.first().map(|o| o.text.as_str()), Some("compiled"));
    for (command, (here, there)) in commands.iter().zip(here.iter().zip(&there)) {
        assert_eq!(facts(here), facts(there), "{command:?}");
        assert_eq!(here.status, Status::Ok, "{command:?}");
    }
    assert!(commands.len() > 4_000, "{}", commands.len());
}
