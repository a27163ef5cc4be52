//! The first calls of the kernels of test/kernels, given any fuel: what is left where it ends is the same in compiled code on the emulated
//! chip as in the interpreter here.
use crate::chip::facts;
use crate::edges::on_both;
use std::path::Path;
use wasmote_engine::Value;
use wasmote_fuzz::setting;
use wasmote_machine::{Command, Settings, Status};

/// Kernels with an argument that makes their run a short one.
const KERNELS: [(&str, i32); 6] = [
    ("fib", 4),
    ("sieve", 60),
    ("gemm", 3),
    ("double", 3),
    ("copy", 1),
    ("carry", 3),
];

#[test]
#[ignore = "needs QEMU and dist/machine.elf; test/engine/conformance.test.ts runs it"]
fn fuel_that_ends_anywhere_in_kernels_leaves_the_same_on_the_chip() {
    let mut commands = Vec::new();
    for (name, argument) in KERNELS {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../kernels/{name}.wat"));
        let text = std::fs::read_to_string(path).expect("a kernel");
        let buffer = wast::parser::ParseBuffer::new(&text).expect("its tokens");
        let mut module: wast::Wat<'_> = wast::parser::parse(&buffer).expect("a module");
        let bytes = module.encode().expect("its bytes");
        commands.push(Command::Instantiate(name.into(), bytes));
        commands.push(Command::Invoke(
            name.into(),
            "run".into(),
            vec![Value::I32(argument)],
        ));
        commands.push(Command::Memory(name.into()));
    }
    // Every unit while they begin, and then in ever larger steps to beyond the end of all.
    let every = setting("WASMOTE_FUEL", 10);
    let steps = core::iter::successors(Some(every + 1), |fuel| Some(fuel * 3 / 2 + 1));
    let (mut done, mut spent) = (0, 0);
    for fuel in (1..=every).chain(steps.take_while(|fuel| *fuel < 400_000)) {
        let settings = Settings {
            slice: fuel,
            fuel: 1,
            pages: 0,
            entries: 0,
            stack: 16 * 1024,
            strict: true,
            compiled: true,
        };
        let (here, there) = on_both(&format!("kernels-fuel-{fuel}"), &settings, &commands);
        for (command, (here, there)) in commands.iter().zip(here.iter().zip(&there)) {
            assert_eq!(facts(here), facts(there), "{command:?}, {fuel} of fuel");
            if matches!(command, Command::Instantiate(..)) && there.status == Status::Ok {
                assert_eq!(there.text, "compiled");
            }
            if matches!(command, Command::Invoke(..)) {
                done += u32::from(here.status == Status::Ok);
                spent += u32::from(here.status == Status::Fuel);
            }
        }
    }
    println!("{done} done, {spent} out of fuel");
    assert!(done > 12 && spent > 60, "{done} {spent}");
}
