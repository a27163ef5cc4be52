//! Decoder, validator, execution loop and disassembly agree on every opcode of the one table, and with others: with another
//! project's assembler on the bytes, with wasmi on what comes out. What is not in the table is refused, at its place.
use wasmi::Val;
use wasmote_engine::{
    Fault, Fuel, Immediates, Instance, Module, Opcode, Options, PageSizes, Run, Scratch, Value,
    instruction, validate,
};
use wast::Wat;
use wast::parser::{self, ParseBuffer};

const PREFIX: u8 = 0xfc;

/// Every opcode there could be, with what the table has of it.
fn all() -> impl Iterator<Item = (u8, u32, Option<Opcode>)> {
    let plain = (0..=u8::MAX).filter(|byte| *byte != PREFIX);
    let prefixed = (0..300).map(|number| (PREFIX, number));
    plain
        .map(|byte| (byte, 0))
        .chain(prefixed)
        .map(|(byte, number)| (byte, number, Opcode::find(byte, number)))
}

fn types(letters: &str) -> Vec<&'static str> {
    let ty = |letter| match letter {
        'i' => "i32",
        'I' => "i64",
        'f' => "f32",
        'F' => "f64",
        'r' => "funcref",
        _ => panic!("no type {letter}"),
    };
    letters.chars().map(ty).collect()
}

/// A function's text around the instruction, and its effect where the table leaves that to the validator. `@` is where the
/// operands are pushed, `#` the instruction.
fn around(name: &str) -> (&'static str, &'static str) {
    match name {
        "unreachable" => ("#", ":"),
        "block" | "loop" => ("# end", ":"),
        "if" => ("@ # end", "i:"),
        "else" => ("local.get 0 if # end", "i:"),
        "end" => ("block #", ":"),
        "br" => ("#", ":"),
        "br_if" => ("@ #", "i:"),
        "br_table" => ("block @ # end", "i:"),
        "return" => ("#", ":"),
        "call" => ("@ #", "i:i"),
        "call_indirect" => ("local.get 0 i32.const 0 #", "i:i"),
        "drop" => ("@ #", "F:"),
        "select" => ("@ #", "iii:i"),
        "local.get" => ("#", "i:i"),
        "local.set" => ("@ #", "i:"),
        "local.tee" => ("@ #", "i:i"),
        "global.get" => ("#", ":i"),
        "global.set" => ("@ #", "i:"),
        "table.get" => ("@ #", "i:r"),
        "table.set" => ("@ #", "ir:"),
        "ref.null" => ("#", ":r"),
        "ref.is_null" => ("@ #", "r:i"),
        "ref.func" => ("#", ":r"),
        "table.grow" => ("@ #", "ri:i"),
        "table.fill" => ("@ #", "iri:"),
        _ => ("@ #", ""),
    }
}

/// Immediates in the text format, as the disassembly shows them too.
fn immediates(opcode: Opcode, byte: u8) -> &'static str {
    match opcode.immediates {
        Immediates::None | Immediates::Block | Immediates::Zero | Immediates::ZeroZero => "",
        Immediates::Label => " 0",
        Immediates::Labels => " 0 1 0",
        Immediates::Indices if byte == 0x11 => " 0 (type 0)",
        Immediates::Indices => " 0 0",
        Immediates::Index | Immediates::SegmentZero => " 0",
        Immediates::Types => " (result i32)",
        Immediates::Memory(0) => " offset=3",
        Immediates::Memory(_) => " offset=200 align=1",
        Immediates::I32 => " -123456",
        Immediates::I64 => " 1234567890123",
        Immediates::F32 => " -1.5",
        Immediates::F64 => " 0.1",
        Immediates::RefType => " func",
    }
}

fn text(opcode: Opcode, byte: u8) -> (String, String, String) {
    let (form, effect) = around(opcode.name);
    let effect = if opcode.effect.is_empty() {
        effect
    } else {
        opcode.effect
    };
    let (taken, given) = effect.split_once(':').expect("an effect");
    let list = |word: &str, letters: &str| {
        types(letters)
            .iter()
            .map(|ty| format!("({word} {ty})"))
            .collect::<String>()
    };
    let operands: Vec<_> = (0..taken.len()).map(|i| format!("local.get {i}")).collect();
    let line = format!("{}{}", opcode.name, immediates(opcode, byte));
    let body = form.replace('@', &operands.join(" ")).replace('#', &line);
    let module = format!(
        "(module (type (func (param i32) (result i32))) (func $same (type 0) local.get 0)
          (table (export \"t\") 4 8 funcref) (memory (export \"m\") 1 2) (global (export \"g\") (mut i32) (i32.const 9))
          (func (export \"f\") {} {} {body})
          (elem (i32.const 0) $same) (data \"abcdefgh\"))",
        list("param", taken),
        list("result", given),
    );
    (module, line, taken.to_owned())
}

fn assemble(text: &str) -> Vec<u8> {
    let buffer = ParseBuffer::new(text).expect("it can be read");
    parser::parse::<Wat>(&buffer)
        .and_then(|mut wat| wat.encode())
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn leb(bytes: &[u8], at: &mut usize) -> usize {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = bytes[*at];
        *at += 1;
        value |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return value;
        }
    }
}

/// Where the code of the last function starts and ends.
fn code(bytes: &[u8]) -> (usize, usize) {
    let mut at = 8;
    loop {
        let id = bytes[at];
        at += 1;
        let size = leb(bytes, &mut at);
        if id == 10 {
            let count = leb(bytes, &mut at);
            let mut found = (0, 0);
            for _ in 0..count {
                let size = leb(bytes, &mut at);
                let end = at + size;
                assert_eq!(bytes[at], 0, "no locals");
                found = (at + 1, end);
                at = end;
            }
            return found;
        }
        at += size;
    }
}

fn load(bytes: &[u8]) -> Result<(Vec<u32>, wasmote_engine::Summary), wasmote_engine::LoadError> {
    let mut scratch: Box<Scratch<4096, 64, 256>> = Box::default();
    let mut table = vec![0u32; 1024];
    let summary = validate(bytes, table.as_mut_slice(), &mut scratch, PageSizes::Any)?;
    Ok((table, summary))
}

/// What a call comes to: values and the fuel used, or the trap.
fn here(bytes: &[u8], arguments: &[Value]) -> Result<(Vec<Value>, u64), String> {
    let (table, summary) = load(bytes).expect("valid");
    let module = Module::new(bytes, &table, &summary).expect("its table");
    let options = Options {
        table_entries: Some(8),
        memory_pages: Some(2),
        ..Options::default()
    };
    let mut region = vec![0u64; (module.footprint(&options).total / 8) as usize];
    // SAFETY: any bytes of the words may be seen as bytes.
    let (_, view, _) = unsafe { region.align_to_mut::<u8>() };
    let mut instance = Instance::new(module, view, &options).expect("its footprint");
    let mut fuel = 1_000_000;
    assert_eq!(instance.run(&mut fuel), Run::Done);
    let function = module.export_function("f").expect("exported");
    let before = instance.fuel_used();
    instance.call(function, arguments).expect("its types");
    match instance.run(&mut fuel) {
        Run::Done => Ok((instance.results().collect(), instance.fuel_used() - before)),
        Run::Trap(trap) => Err(trap.kind.message().to_owned()),
        other => panic!("{other:?}"),
    }
}

fn there(bytes: &[u8], arguments: &[Value]) -> Result<Vec<Value>, String> {
    let engine = wasmi::Engine::default();
    let mut store = wasmi::Store::new(&engine, ());
    let module = wasmi::Module::new(&engine, bytes).expect("valid");
    let instance = wasmi::Linker::<()>::new(&engine)
        .instantiate_and_start(&mut store, &module)
        .expect("started");
    let function = instance.get_func(&store, "f").expect("exported");
    let given: Vec<Val> = arguments
        .iter()
        .map(|value| match *value {
            Value::I32(v) => Val::I32(v),
            Value::I64(v) => Val::I64(v),
            Value::F32(v) => Val::F32(v.into()),
            Value::F64(v) => Val::F64(v.into()),
            _ => Val::default_for_ty(wasmi::ValType::FuncRef),
        })
        .collect();
    let mut results: Vec<Val> = function
        .ty(&store)
        .results()
        .iter()
        .map(|ty| Val::default_for_ty(*ty))
        .collect();
    function
        .call(&mut store, &given, &mut results)
        .map_err(|error| error.to_string())?;
    Ok(results
        .iter()
        .map(|value| match value {
            Val::I32(v) => Value::I32(*v),
            Val::I64(v) => Value::I64(*v),
            Val::F32(v) => Value::F32(f32::from_bits(v.to_bits())),
            Val::F64(v) => Value::F64(f64::from_bits(v.to_bits())),
            // Only whether it is null can be compared.
            Val::FuncRef(v) => Value::FuncRef((!v.is_null()).then_some(0)),
            other => panic!("{other:?}"),
        })
        .collect())
}

/// Bits to compare; NaNs are all alike.
fn bits(value: &Value) -> (u8, u64) {
    match *value {
        Value::I32(v) => (0, u64::from(v.cast_unsigned())),
        Value::I64(v) => (1, v.cast_unsigned()),
        Value::F32(v) if v.is_nan() => (2, u64::MAX),
        Value::F32(v) => (2, u64::from(v.to_bits())),
        Value::F64(v) if v.is_nan() => (3, u64::MAX),
        Value::F64(v) => (3, v.to_bits()),
        Value::FuncRef(v) | Value::ExternRef(v) => (4, u64::from(v.is_some())),
    }
}

/// What the table says that the instruction costs besides its length, with these operands; nothing where it may leave the
/// straight line.
fn extra(opcode: Opcode, operands: &[Value], results: &[Value]) -> Option<u64> {
    let last = match operands.last() {
        Some(Value::I32(v)) => u64::from(v.cast_unsigned()),
        _ => 0,
    };
    let grown = results != [Value::I32(-1)];
    Some(match (opcode.name, opcode.fuel) {
        ("unreachable" | "if" | "else", _) | (_, Fuel::Locals) => return None,
        // Where a block ends nothing is moved; a branch does not pass through what follows it.
        ("end", Fuel::Moved) => 0,
        (_, Fuel::Moved) => return None,
        (_, Fuel::Length) => 0,
        (_, Fuel::Written) => last,
        // The segment's elements from the second operand on.
        (_, Fuel::WrittenSkipped) => match operands.get(1) {
            Some(Value::I32(from)) => u64::from(from.cast_unsigned()) + last,
            _ => last,
        },
        ("memory.grow", Fuel::Grown) => u64::from(grown) * last * 65_536,
        (_, Fuel::Grown) => u64::from(grown) * last,
    })
}

#[test]
fn every_opcode_is_the_same_in_table_assembler_validator_loop_and_disassembly() {
    let (mut seen, mut charged) = (0, 0);
    for (byte, number, opcode) in all() {
        let Some(opcode) = opcode else { continue };
        let (module, line, taken) = text(opcode, byte);
        let bytes = assemble(&module);
        let (start, end) = code(&bytes);

        // The disassembly finds the instruction, by the byte of the table, as it was written.
        let mut at = start;
        let mut found = None;
        while at < end {
            let one = instruction(&bytes, at as u32).expect("an instruction");
            if one.to_string() == line && found.is_none() {
                found = Some(at);
            }
            at += one.length as usize;
        }
        assert_eq!(at, end, "{line}: the listing ends with the function");
        let at = found.unwrap_or_else(|| panic!("{line} is not in the listing"));
        assert_eq!(bytes[at], byte, "{line}");
        if byte == PREFIX {
            assert_eq!(leb(&bytes, &mut (at + 1)), number as usize, "{line}");
        }

        // The validator takes it, the loop executes it, and wasmi comes to the same.
        for sample in [0, 1, 3, 7, -1] {
            let arguments: Vec<Value> = taken
                .chars()
                .enumerate()
                .map(|(i, letter)| {
                    let v = sample + i as i32;
                    match letter {
                        'i' => Value::I32(v),
                        'I' => Value::I64(i64::from(v) << 20 | 5),
                        'f' => Value::F32(v as f32 * 1.25),
                        'F' => Value::F64(f64::from(v) * 1.25),
                        _ => Value::FuncRef(None),
                    }
                })
                .collect();
            let mine = here(&bytes, &arguments).map(|(values, fuel)| {
                if let Some(extra) = extra(opcode, &arguments, &values) {
                    assert_eq!(
                        fuel,
                        (end - start) as u64 + extra,
                        "{line} of {arguments:?}"
                    );
                    charged += 1;
                }
                values
            });
            let theirs = there(&bytes, &arguments);
            match (&mine, &theirs) {
                (Ok(mine), Ok(theirs)) => assert_eq!(
                    mine.iter().map(bits).collect::<Vec<_>>(),
                    theirs.iter().map(bits).collect::<Vec<_>>(),
                    "{line} of {arguments:?}"
                ),
                (Err(_), Err(_)) => {}
                _ => panic!("{line} of {arguments:?}: {mine:?} here, {theirs:?} in wasmi"),
            }
        }
        seen += 1;
    }
    // 172 of the MVP, 5 sign extensions, 5 of the reference types, the typed select, and 18 behind the prefix.
    assert_eq!(seen, 201);
    assert!(charged > 850, "{charged}");
}

#[test]
fn what_is_not_in_the_table_is_refused_at_its_place() {
    let good = assemble("(module (func nop nop nop nop))");
    let (start, _) = code(&good);
    let mut refused = 0;
    for (byte, number, opcode) in all() {
        if opcode.is_some() {
            continue;
        }
        let mut bytes = good.clone();
        bytes[start + 1] = byte;
        if byte == PREFIX {
            bytes[start + 2] = number as u8 & 0x7f | if number > 0x7f { 0x80 } else { 0 };
            if number > 0x7f {
                bytes[start + 3] = (number >> 7) as u8;
            }
        }
        let error = load(&bytes).expect_err("no opcode");
        assert_eq!(
            (error.fault, error.offset as usize),
            (Fault::Malformed("illegal opcode"), start + 1),
            "{byte:#x} {number}"
        );
        assert!(instruction(&bytes, start as u32 + 1).is_none());
        refused += 1;
    }
    assert_eq!(refused, 255 + 300 - 201);
}
