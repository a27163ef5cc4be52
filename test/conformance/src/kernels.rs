//! The kernels of test/kernels: results and fuel, which are the same everywhere, and instructions on the emulated chip.
use crate::target::Target;
use std::path::Path;
use wasmote_engine::Value;
use wasmote_machine::{Command, Settings, Status, encode_command};
use wast::Wat;
use wast::parser::{self, ParseBuffer};

/// A kernel, its argument, and the instructions of the same in C, compiled with -O3 for the Cortex-M4F (0: it is about results).
const KERNELS: [(&str, i32, u32); 6] = [
    ("fib", 15, 13_294),
    ("sieve", 4096, 44_785),
    ("gemm", 16, 26_512),
    ("double", 30_000, 0),
    ("copy", 50, 0),
    ("carry", 5_000, 0),
];

/// Instructions for each tick of the emulated board's 25 MHz clock, when an instruction takes 1 ns.
const PER_TICK: u64 = 40;

pub(crate) fn measure(target: Target, compiled: bool, json: bool) -> Result<bool, String> {
    let mut lines = Vec::new();
    for (name, argument, native) in KERNELS {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../kernels/{name}.wat"));
        let text =
            std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let buffer = ParseBuffer::new(&text).map_err(|e| e.to_string())?;
        let module = parser::parse::<Wat>(&buffer)
            .and_then(|mut wat| wat.encode())
            .map_err(|e| e.to_string())?;
        let settings = Settings {
            slice: u64::MAX,
            fuel: u64::MAX,
            pages: 0,
            entries: 0,
            stack: 16 * 1024,
            strict: true,
            compiled,
        };
        let mut script = settings.encode();
        let call = Command::Invoke(String::new(), "run".into(), vec![Value::I32(argument)]);
        for command in [
            Command::Instantiate(String::new(), module),
            call.clone(),
            call,
        ] {
            script.extend(encode_command(&command));
        }
        let outcomes = target.execute(name, &script)?;
        let Some(last) = outcomes.get(2).filter(|o| o.status == Status::Ok) else {
            return Err(format!("{name}: {outcomes:?}"));
        };
        let result = match last.values.first() {
            Some(Value::I32(v)) => v.to_string(),
            Some(Value::F32(v)) => v.to_string(),
            other => format!("{other:?}"),
        };
        let instructions = u64::from(last.time) * PER_TICK;
        let ratio = instructions as f64 / f64::from(native);
        lines.push(if json {
            format!(
                "{{\"kernel\":\"{name}\",\"argument\":{argument},\"result\":{result},\"fuel\":{},\"instructions\":{instructions},\"native\":{native}}}",
                last.fuel
            )
        } else if target == Target::CortexM4 && native == 0 {
            format!("{name}({argument}) = {result}: fuel {}, {instructions} instructions", last.fuel)
        } else if target == Target::CortexM4 {
            format!("{name}({argument}) = {result}: fuel {}, {instructions} instructions, {ratio:.1} times native", last.fuel)
        } else {
            format!("{name}({argument}) = {result}: fuel {}", last.fuel)
        });
    }
    if json {
        println!("[{}]", lines.join(","));
    } else {
        println!("{}", lines.join("\n"));
    }
    Ok(true)
}
