//! Accesses of every width and offset where the memory ends, at its pages' ends, at 2^31 and at 2^32, alone, in rows that are looked at
//! together, and in loops: compiled code on the emulated chip comes to the same as the interpreter here.
use crate::target::Target;
use wasmote_engine::Value;
use wasmote_machine::{Command, Outcome, Settings, Status, encode_command};

const LOADS: [(&str, &str); 11] = [
    ("i32.load", "i32"),
    ("i32.load8_s", "i32"),
    ("i32.load16_u", "i32"),
    ("f32.load", "f32"),
    ("i64.load", "i64"),
    ("i64.load8_u", "i64"),
    ("i64.load32_s", "i64"),
    ("f64.load", "f64"),
    ("i32.load8_u", "i32"),
    ("i32.load16_s", "i32"),
    ("i64.load16_s", "i64"),
];

const STORES: [(&str, &str); 8] = [
    ("i32.store", "i32"),
    ("i32.store8", "i32"),
    ("i32.store16", "i32"),
    ("f32.store", "f32"),
    ("i64.store", "i64"),
    ("i64.store8", "i64"),
    ("i64.store32", "i64"),
    ("f64.store", "f64"),
];

/// Addresses made of the parameter, and offsets of the access.
const WAYS: [(&str, u64); 12] = [
    ("(local.get 0)", 0),
    ("(local.get 0)", 3),
    ("(local.get 0)", 4093),
    ("(local.get 0)", 65_535),
    ("(local.get 0)", 0xffff_ffff),
    ("(i32.add (local.get 0) (i32.const 8))", 0),
    ("(i32.add (local.get 0) (i32.const 4000))", 200),
    ("(i32.sub (local.get 0) (i32.const 148))", 0),
    ("(i32.add (local.get 0) (i32.const 100000))", 0),
    ("(i32.shl (local.get 0) (i32.const 2))", 4),
    (
        "(i32.add (i32.shl (local.get 0) (i32.const 3)) (i32.const 16))",
        0,
    ),
    (
        "(i32.add (i32.mul (local.get 0) (i32.const 12)) (local.get 0))",
        8,
    ),
];

/// Several accesses at one parameter.
const ROWS: [&str; 11] = [
    "(result i32) (i32.add (i32.load (local.get 0)) (i32.add (i32.load offset=8 (local.get 0))
       (i32.load8_u (i32.add (local.get 0) (i32.const 16)))))",
    "(result i32) (i32.add (i32.load16_u offset=40 (local.get 0)) (i32.add (i32.load (i32.add (local.get 0) (i32.const 12)))
       (i32.load (local.get 0))))",
    "(result f32) (f32.add (f32.load (i32.add (local.get 0) (i32.const 4))) (f32.mul (f32.load (i32.add (local.get 0) (i32.const 8)))
       (f32.load offset=4000 (local.get 0))))",
    "(result i32) (local i32)
       (local.set 1 (i32.load (local.get 0)))
       (i32.store offset=4 (local.get 0) (i32.const 7))
       (local.set 1 (i32.add (local.get 1) (i32.load offset=12 (local.get 0))))
       (local.set 0 (i32.add (local.get 0) (i32.const 4)))
       (i32.add (local.get 1) (i32.load offset=12 (local.get 0)))",
    "(result i32) (local i32 i32)
       (loop $again
         (local.set 1 (i32.add (local.get 1) (i32.load (i32.add (i32.mul (local.get 0) (i32.const 4))
           (i32.shl (local.get 2) (i32.const 1))))))
         (i32.store8 offset=3 (i32.add (i32.mul (local.get 0) (i32.const 4)) (local.get 2)) (local.get 1))
         (br_if $again (i32.lt_u (local.tee 2 (i32.add (local.get 2) (i32.const 1))) (i32.const 5))))
       (local.get 1)",
    // Before and behind one local, and a store behind a load.
    "(result i32) (local i32)
       (local.set 1 (i32.add (i32.load (i32.sub (local.get 0) (i32.const 148))) (i32.add
         (i32.load (i32.sub (local.get 0) (i32.const 4))) (i32.load16_s (i32.add (local.get 0) (i32.const 12))))))
       (i32.store (i32.add (local.get 0) (i32.const 140)) (local.get 1))
       (i32.add (local.get 1) (i32.load (i32.sub (local.get 0) (i32.const 144))))",
    // Two locals, one of them shifted.
    "(result f32) (local i32)
       (local.set 1 (i32.const 40))
       (loop $again
         (f32.store offset=8 (i32.add (local.get 0) (i32.shl (local.get 1) (i32.const 2)))
           (f32.add (f32.load (i32.add (local.get 0) (i32.shl (i32.sub (local.get 1) (i32.const 1)) (i32.const 2))))
             (f32.add (f32.load (i32.add (local.get 0) (i32.shl (i32.add (local.get 1) (i32.const 30)) (i32.const 2))))
               (f32.load (i32.add (local.get 0) (i32.shl (i32.sub (local.get 1) (i32.const 37)) (i32.const 2)))))))
         (br_if $again (i32.ne (local.tee 1 (i32.sub (local.get 1) (i32.const 1))) (i32.const 0))))
       (f32.load (i32.add (local.get 0) (local.get 1)))",
    // Numbers that no instruction holds, and a local that is set between.
    "(result i64) (local i64)
       (local.set 1 (i64.add (i64.load (i32.add (local.get 0) (i32.const 60000))) (i64.load offset=8 (i32.add (local.get 0) (i32.const 60016)))))
       (local.set 0 (i32.shl (local.get 0) (i32.const 1)))
       (i64.add (local.get 1) (i64.add (i64.load8_u (i32.shl (local.get 0) (i32.const 2)))
         (i64.load (i32.add (i32.shl (local.get 0) (i32.const 2)) (i32.const 5000)))))",
    // What does not change around what does.
    "(result i32) (local i32 i32 i32)
       (local.set 3 (i32.const 7))
       (loop $again
         (local.set 1 (i32.xor (i32.mul (local.get 1) (i32.const 24)) (i32.load (i32.add (local.get 0)
           (i32.shl (i32.add (i32.mul (local.get 3) (i32.const 20)) (local.get 2)) (i32.const 2))))))
         (i32.store16 (i32.add (i32.shl (i32.add (local.get 2) (i32.mul (local.get 3) (i32.const 30))) (i32.const 1))
           (i32.const 60000)) (local.get 1))
         (br_if $again (i32.lt_u (local.tee 2 (i32.add (local.get 2) (i32.const 1))) (i32.const 9))))
       (local.get 1)",
    "(result i32) (local i32 i32 i32)
       (loop $rows
         (local.set 2 (i32.const 0))
         (loop $again
           (local.set 3 (i32.add (local.get 3) (i32.add (i32.load8_u (i32.add (i32.sub (i32.add (i32.mul (local.get 2) (i32.const 40))
             (local.get 1)) (i32.const 5)) (local.get 0))) (i32.load8_u (i32.add (i32.add (local.get 0) (local.get 1))
             (i32.shl (i32.sub (i32.const 3) (local.get 2)) (i32.const 3)))))))
           (br_if $again (i32.lt_u (local.tee 2 (i32.add (local.get 2) (i32.const 1))) (i32.const 5))))
         (local.set 2 (i32.const 0))
         (loop $again
           (local.set 3 (i32.xor (local.get 3) (i32.add (i32.mul (local.get 2) (i32.const 15)) (i32.add (i32.mul (local.get 1) (i32.const 9))
             (i32.const 70000)))))
           (br_if $again (i32.lt_u (local.tee 2 (i32.add (local.get 2) (i32.const 1))) (i32.const 3))))
         (br_if $rows (i32.lt_u (local.tee 1 (i32.add (local.get 1) (i32.const 1))) (i32.const 4))))
       (local.get 3)",
    "(result f32) (local f32 i32)
       (loop $again
         (local.set 1 (f32.add (f32.load (i32.add (local.get 0) (i32.const 4))) (f32.mul (local.get 1) (f32.const 0.7))))
         (f32.store (i32.sub (local.get 0) (i32.const 8)) (local.get 1))
         (local.set 0 (i32.add (local.get 0) (i32.const 4)))
         (local.set 1 (f32.add (local.get 1) (f32.load (i32.sub (local.get 0) (i32.const 12)))))
         (br_if $again (i32.lt_u (local.tee 2 (i32.add (local.get 2) (i32.const 1))) (i32.const 6))))
       (local.get 1)",
];

fn functions() -> Vec<String> {
    let mut all = Vec::new();
    for (load, ty) in LOADS {
        for (address, offset) in WAYS {
            all.push(format!("(result {ty}) ({load} offset={offset} {address})"));
        }
    }
    for (store, ty) in STORES {
        for (address, offset) in WAYS {
            all.push(format!(
                "({store} offset={offset} {address} ({ty}.const 90))"
            ));
        }
    }
    all.extend(ROWS.map(String::from));
    all.push(many_loops());
    all
}

/// More loops than keep anything (limits.rs), each with what others keep and what only some do.
fn many_loops() -> String {
    let loops = (0..20).fold(String::new(), |text, number| {
        let row = 20 + number / 5;
        format!(
            "{text} (local.set 2 (i32.const 0))
              (loop $again
                (local.set 3 (i32.xor (i32.mul (local.get 3) (i32.const 24)) (i32.load16_u (i32.add (local.get 0)
                  (i32.shl (i32.add (i32.mul (local.get 1) (i32.const {row})) (local.get 2)) (i32.const 1))))))
                (br_if $again (i32.lt_u (local.tee 2 (i32.add (local.get 2) (i32.const 1))) (i32.const 3))))
              (local.set 1 (i32.xor (local.get 1) (i32.const {number})))"
        )
    });
    format!("(result i32) (local i32 i32 i32) (local.set 1 (i32.const 5)) {loops} (local.get 3)")
}

/// Addresses around the places where something ends.
fn addresses() -> Vec<u32> {
    let mut all = vec![0, 1, 4, 147, 148, 149];
    for end in [65_536_u32, 131_072, 1 << 31, 0] {
        for less in [4100, 200, 24, 17, 16, 12, 8, 5, 4, 3, 2, 1] {
            all.push(end.wrapping_sub(less));
        }
        all.extend([end, end.wrapping_add(1), end.wrapping_add(148)]);
    }
    for shift in [2, 3] {
        for end in [65_536_u32 >> shift, 131_072 >> shift, 1 << (32 - shift)] {
            all.extend([6, 3, 2, 1, 0].map(|less| end - less));
        }
    }
    all
}

#[test]
#[ignore = "needs QEMU and dist/machine.elf; test/engine/conformance.test.ts runs it"]
fn accesses_at_every_edge_come_to_the_same_on_the_chip() {
    let functions = functions();
    let all = functions
        .iter()
        .enumerate()
        .fold(String::new(), |text, (index, body)| {
            format!("{text} (func (export \"{index}\") (param i32) {body})")
        });
    let fill = "(func (export \"fill\") (local i32) (loop $l (i32.store8 (local.get 0) (i32.mul (local.get 0) (i32.const 7)))
        (br_if $l (i32.lt_u (local.tee 0 (i32.add (local.get 0) (i32.const 1))) (i32.const 65536)))))";
    let grow = "(func (export \"grow\") (drop (memory.grow (i32.const 1))))";
    let name = || String::from("m");
    let (mut done, mut trapped) = (0, 0);
    // A memory of one page, and one that has grown to two.
    for (most, grows) in [(1, false), (2, true)] {
        let text = format!("(module (memory 1 {most}) {fill} {grow} {all})");
        let buffer = wast::parser::ParseBuffer::new(&text).expect("its tokens");
        let mut module: wast::Wat<'_> = wast::parser::parse(&buffer).expect("a module");
        let bytes = module.encode().expect("its bytes");
        let mut commands = vec![Command::Instantiate(name(), bytes)];
        let mut call = |called: &str, values| {
            commands.push(Command::Invoke(name(), called.into(), values));
        };
        call("fill", vec![]);
        for round in 0..=u32::from(grows) {
            if round == 1 {
                call("grow", vec![]);
            }
            for index in 0..functions.len() {
                for address in addresses() {
                    call(&index.to_string(), vec![Value::I32(address.cast_signed())]);
                }
            }
        }
        commands.push(Command::Memory(name()));
        let settings = Settings {
            slice: 1 << 20,
            fuel: 1 << 24,
            pages: 2,
            entries: 0,
            stack: 16 * 1024,
            strict: false,
            compiled: true,
        };
        let (here, there) = on_both(&format!("edges-{most}"), &settings, &commands);
        assert_eq!(there.first().map(|o| o.text.as_str()), Some("compiled"));
        for (command, (here, there)) in commands.iter().zip(here.iter().zip(&there)) {
            let facts = crate::chip::facts;
            assert_eq!(facts(here), facts(there), "{command:?}");
            done += u32::from(here.status == Status::Ok);
            trapped += u32::from(here.status == Status::Trap);
        }
    }
    println!("{done} done, {trapped} trapped");
    assert!(done > 8_000 && trapped > 8_000, "{done} {trapped}");
}

/// What commands come to on this computer and on the chip, an outcome for each.
pub(crate) fn on_both(
    name: &str,
    settings: &Settings,
    commands: &[Command],
) -> (Vec<Outcome>, Vec<Outcome>) {
    let mut script = settings.encode();
    for command in commands {
        script.extend(encode_command(command));
    }
    let run = |target: Target| target.execute(name, &script).expect("the emulator runs");
    let (here, there) = (run(Target::Laptop), run(Target::CortexM4));
    assert_eq!((here.len(), there.len()), (commands.len(), commands.len()));
    (here, there)
}

/// Runs each row once with so much fuel, on this computer and on the chip; gives how many came to their end and how many did not.
fn with_fuel(bytes: &[u8], fuel: u64) -> (u32, u32) {
    let name = || String::from("m");
    let mut commands = vec![Command::Instantiate(name(), bytes.to_vec())];
    for index in 0..ROWS.len() {
        commands.push(Command::Invoke(
            name(),
            index.to_string(),
            vec![Value::I32(4_096)],
        ));
        commands.push(Command::Memory(name()));
    }
    let settings = Settings {
        slice: fuel,
        fuel: 1,
        pages: 1,
        entries: 0,
        stack: 16 * 1024,
        strict: false,
        compiled: true,
    };
    let (here, there) = on_both(&format!("fuel-{fuel}"), &settings, &commands);
    // Too little fuel to start with is told by both.
    if there.first().is_some_and(|o| o.status == Status::Ok) {
        assert_eq!(there.first().map(|o| o.text.as_str()), Some("compiled"));
    }
    let (mut done, mut spent) = (0, 0);
    for (command, (here, there)) in commands.iter().zip(here.iter().zip(&there)) {
        let facts = crate::chip::facts;
        assert_eq!(facts(here), facts(there), "{command:?}, {fuel} of fuel");
        done += u32::from(matches!(command, Command::Invoke(..)) && here.status == Status::Ok);
        spent += u32::from(here.status == Status::Fuel);
    }
    (done, spent)
}

#[test]
#[ignore = "needs QEMU and dist/machine.elf; test/engine/conformance.test.ts runs it"]
fn fuel_that_ends_anywhere_leaves_the_same_on_the_chip() {
    let rows = ROWS.iter().enumerate();
    let rows = rows.fold(String::new(), |text, (index, body)| {
        format!("{text} (func (export \"{index}\") (param i32) {body})")
    });
    let text = format!("(module (memory 1 1) (data (i32.const 4000) \"fuel that ends\") {rows})");
    let buffer = wast::parser::ParseBuffer::new(&text).expect("its tokens");
    let mut module: wast::Wat<'_> = wast::parser::parse(&buffer).expect("a module");
    let bytes = module.encode().expect("its bytes");
    // Every unit while rows begin, and from there on to the end of all by steps.
    let all = wasmote_fuzz::setting("WASMOTE_FUEL", 32);
    let (mut done, mut spent) = (0, 0);
    for fuel in (1..=all).chain((all + 1..6_000).step_by(300)) {
        let (more_done, more_spent) = with_fuel(&bytes, fuel);
        (done, spent) = (done + more_done, spent + more_spent);
    }
    println!("{done} done, {spent} out of fuel");
    assert!(done > 60 && spent > 100, "{done} {spent}");
}
