//! Indirect calls on the emulated Cortex-M4F, compiled, against the interpreter here: entries that are functions of the module's own of
//! either width, imports, functions of other instances and null; types that are the same under another index, and other types; tables
//! that change while they are called through; recursion to the stack's end; slices of every length, and fuel that ends anywhere.
use crate::chip::facts;
use crate::edges::on_both;
use std::collections::BTreeMap;
use wasmote_engine::Value;
use wasmote_fuzz::setting;
use wasmote_machine::{Command, Outcome, Settings, Status};

/// What the module under test imports from, whose functions are foreign to it.
const OTHER: &str = r#"(module
  (func (export "twice") (param i32) (result i32) (i32.mul (local.get 0) (i32.const 2)))
  (func (export "trap") (param i32) (result i32) (i32.div_u (local.get 0) (i32.const 0)))
  (table (export "shared") 24 funcref)
  (elem (table 0) (i32.const 20) func 0 1))"#;

/// The results that calls have, and how what is called computes them of an i32: with slots of 32 bits, and of 64.
const RESULTS: [(&str, &str); 7] = [
    ("i32", "(local.get $x)"),
    ("f32", "(f32.convert_i32_s (local.get $x))"),
    (
        "i64",
        "(i64.mul (i64.extend_i32_s (local.get $x)) (i64.const 0x100000007))",
    ),
    ("f64", "(f64.convert_i32_s (local.get $x))"),
    ("", ""),
    (
        "i32 f32",
        "(local.get $x) (f32.convert_i32_s (local.get $x))",
    ),
    (
        "i64 i32 f64",
        "(i64.extend_i32_s (local.get $x)) (i32.const 7) (f64.convert_i32_u (local.get $x))",
    ),
];

/// Parameters behind the first one, which is an i32.
const PARAMETERS: [&[&str]; 4] = [&[], &["f32"], &["i32", "f32", "i32"], &["i32"; 24]];

/// Parameters and results of what is called.
fn signature(result: usize, parameters: usize) -> String {
    let params = PARAMETERS[parameters].join(" ");
    format!(
        "(param $x i32) (param {params}) (result {})",
        RESULTS[result].0
    )
}

/// A number as an argument of each type.
fn arguments(parameters: usize, of: &str) -> String {
    let others = PARAMETERS[parameters].iter().enumerate();
    others.fold(of.to_owned(), |text, (i, ty)| {
        let number = i * 3 + 1;
        format!("{text} ({ty}.const {number})")
    })
}

/// Takes the results that are on the stack, each into the global `$sum`.
fn summed(result: usize) -> String {
    let types = RESULTS[result].0.split_whitespace().rev();
    types.fold(String::new(), |text, ty| {
        let number = match ty {
            "i32" => "",
            "f32" => "(i32.reinterpret_f32)",
            "i64" => "(i32.wrap_i64)",
            _ => "(i32.trunc_sat_f64_s)",
        };
        format!("{text} {number} (call $mix) (global.set $sum)")
    })
}

/// The module under test, and the names of what is called with an index of a table and a number.
fn module() -> (String, Vec<String>) {
    let (mut text, mut names, mut elements) = (String::new(), Vec::new(), String::new());
    for (parameters, types) in PARAMETERS.iter().enumerate() {
        for (result, (_, computes)) in RESULTS.iter().enumerate() {
            let signature = signature(result, parameters);
            let kind = format!("{result}_{parameters}");
            // The same type by another index, which a function of one of the two widths has.
            text +=
                &format!("(type $t{kind} (func {signature})) (type $u{kind} (func {signature}))\n");
            let of = types.iter().enumerate();
            let others = of.fold(String::new(), |text, (i, ty)| {
                let local = i + 1;
                let number = match *ty {
                    "i32" => format!("(local.get {local})"),
                    _ => format!("(i32.trunc_sat_f32_s (local.get {local}))"),
                };
                format!(
                    "{text} (local.set $x (i32.xor (i32.mul (local.get $x) (i32.const 31)) {number}))"
                )
            });
            for (name, ty, wide) in [("n", "t", ""), ("w", "t", "i64"), ("v", "u", "")] {
                text += &format!(
                    "(func ${name}{kind} (type ${ty}{kind}) {signature} (local $a i32) (local {wide}) (local f32)
                       (local.set $a (i32.const 3)) {others}
                       (local.set $x (i32.add (local.get $x) (local.get $a))) {})\n",
                    computes
                );
                elements += &format!(" ${name}{kind}");
            }
            for (name, wide) in [("narrow", ""), ("wide", "i64")] {
                let called = format!("{name}{kind}");
                // Locals in registers of both kinds, and an operand below, are there again after it.
                text += &format!(
                    "(func (export \"{called}\") (param $at i32) (param $n i32) (result i32)
                       (local $i i32) (local $f f32) (local $k i32) (local {wide})
                       (local.set $f (f32.const 1.5))
                       (memory.fill (i32.const 1000) (i32.const 0) (global.get $burn))
                       (loop $again
                         (i32.mul (local.get $i) (i32.const 5))
                         (call_indirect $own (type $t{kind}) {} (i32.add (local.get $at) (local.get $i)))
                         {}
                         (local.set $k (i32.add (i32.add (local.get $k) (local.get $i))))
                         (local.set $f (f32.add (local.get $f) (f32.convert_i32_s (local.get $k))))
                         (local.set $i (i32.add (local.get $i) (i32.const 1)))
                         (br_if $again (i32.lt_u (local.get $i) (local.get $n))))
                       (i32.add (i32.trunc_sat_f32_s (local.get $f)) (local.get $k)))\n",
                    arguments(parameters, "(i32.add (local.get $n) (local.get $i))"),
                    summed(result),
                );
                names.push(called);
            }
        }
    }
    let text = format!(
        "(module
          (import \"other\" \"twice\" (func $twice (param i32) (result i32)))
          (import \"other\" \"trap\" (func $divide (param i32) (result i32)))
          (import \"other\" \"shared\" (table $shared 24 funcref))
          {text}
          (table $own 200 256 funcref)
          (global $sum (export \"sum\") (mut i32) (i32.const 0))
          (global $burn (mut i32) (i32.const 0))
          (func (export \"burn\") (param i32) (global.set $burn (local.get 0)))
          (memory 1 1) (data (i32.const 0) \"what lies behind the stack\")
          (func $mix (param i32) (result i32)
            (i32.add (i32.rotl (global.get $sum) (i32.const 5)) (local.get 0)))
          (elem (table $own) (i32.const 0) func{elements})
          (elem (table $own) (i32.const 190) func $twice $divide)
          (elem $later func $n0_0 $w0_0 $n0_1 $twice)
          {DEEP} {CHANGES})"
    );
    (text, names)
}

/// Functions that call each other until the stack ends, of both widths and with many arguments.
const DEEP: &str = r#"
  (type $deep (func (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (func $down (type $deep) (local i32)
    (global.set $sum (i32.add (global.get $sum) (i32.const 1)))
    (call_indirect $own (type $deep)
      (i32.add (local.get 0) (i32.const 1)) (i32.const 1) (i32.const 2) (i32.const 3) (i32.const 4) (i32.const 5)
      (i32.const 6) (i32.const 7) (i32.const 8) (i32.const 9) (i32.const 10) (local.get 11)
      (i32.add (i32.const 180) (i32.and (local.get 0) (local.get 11)))))
  (func $downwide (type $deep) (local i64 i64 i64)
    (global.set $sum (i32.add (global.get $sum) (i32.const 1)))
    (call_indirect $own (type $deep)
      (i32.add (local.get 0) (i32.const 1)) (i32.const 1) (i32.const 2) (i32.const 3) (i32.const 4) (i32.const 5)
      (i32.const 6) (i32.const 7) (i32.const 8) (i32.const 9) (i32.const 10) (local.get 11)
      (i32.add (i32.const 180) (i32.and (local.get 0) (local.get 11)))))
  (func $straight (type $deep)
    (call $straightwide
      (i32.const 11) (i32.const 1) (i32.const 2) (i32.const 3) (i32.const 4) (i32.const 5)
      (i32.const 6) (i32.const 7) (i32.const 8) (i32.const 9) (i32.const 10) (local.get 11)))
  (func $straightwide (type $deep) (local i64)
    (call $straight
      (i32.const 11) (i32.const 1) (i32.const 2) (i32.const 3) (i32.const 4) (i32.const 5)
      (i32.const 6) (i32.const 7) (i32.const 8) (i32.const 9) (i32.const 10) (local.get 11)))
  (elem (table $own) (i32.const 180) func $down $downwide $straight $straightwide)
  (func (export "deep") (param i32 i32) (result i32)
    (call_indirect $own (type $deep)
      (i32.const 0) (i32.const 1) (i32.const 2) (i32.const 3) (i32.const 4) (i32.const 5)
      (i32.const 6) (i32.const 7) (i32.const 8) (i32.const 9) (i32.const 10) (local.get 1) (local.get 0)))"#;

/// Calls through tables that change before them and in between, and through the other table.
const CHANGES: &str = r#"
  (func (export "change") (param $at i32) (param $n i32) (result i32) (local $i i32)
    (loop $again
      (table.set $own (local.get $at) (table.get $own (local.get $i)))
      (drop (i32.const 7))
      (local.set $n (call_indirect $own (type $t0_0) (local.get $n) (local.get $at)))
      (local.set $i (i32.add (local.get $i) (i32.const 84)))
      (br_if $again (i32.lt_u (local.get $i) (i32.const 170))))
    (local.get $n))
  (func (export "clear") (param $at i32) (param $n i32) (result i32)
    (table.fill $own (local.get $at) (ref.null func) (local.get $n))
    (call_indirect $own (type $t0_0) (local.get $n) (local.get $at)))
  (func (export "grow") (param $at i32) (param $n i32) (result i32)
    (drop (table.grow $own (ref.func $n0_0) (local.get $n)))
    (call_indirect $own (type $t0_0) (local.get $n) (local.get $at)))
  (func (export "later") (param $at i32) (param $n i32) (result i32)
    (table.init $own $later (local.get $at) (i32.const 0) (local.get $n))
    (call_indirect $own (type $t0_0) (local.get $n) (local.get $at)))
  (func (export "copy") (param $at i32) (param $n i32) (result i32)
    (table.copy $shared $own (local.get $n) (local.get $at) (i32.const 1))
    (call_indirect $shared (type $t0_0) (local.get $n) (local.get $n)))
  (func (export "shared") (param $at i32) (param $n i32) (result i32)
    (call_indirect $shared (type $t0_0) (local.get $n) (local.get $at)))
  (func (export "flags") (param $at i32) (param $n i32) (result i32)
    (call_indirect $own (type $t0_0) (local.get $n) (i32.eqz (local.get $at))))
  (func (export "number") (param $at i32) (param $n i32) (result i32)
    (call_indirect $own (type $t0_0) (local.get $n) (i32.const 1)))"#;

/// Where the functions of each kind lie in the table, and what is beside and beyond.
fn script(text: &str, names: &[String]) -> Vec<Command> {
    let name = || String::from("m");
    let bytes = |text: &str| {
        let buffer = wast::parser::ParseBuffer::new(text).expect("its tokens");
        let mut module: wast::Wat<'_> = wast::parser::parse(&buffer).expect("a module");
        module.encode().expect("its bytes")
    };
    let mut commands = vec![
        Command::Instantiate("other".into(), bytes(OTHER)),
        Command::Register("other".into(), "other".into()),
        Command::Instantiate(name(), bytes(text)),
    ];
    let call = |called: &str, at: i32, n: i32| {
        let values = vec![Value::I32(at), Value::I32(n)];
        Command::Invoke(name(), called.into(), values)
    };
    for (index, called) in names.iter().enumerate() {
        // Three functions for every two names.
        let own = (index / 2 * 3) as i32;
        for (at, n) in [
            (own, 3),
            (own, 2),
            (own + 1, 1),
            (own + 2, 1),
            (own + 3, 1),
            (own - 1, 2),
        ] {
            commands.push(call(called, at, n));
        }
    }
    for at in [
        -1,
        i32::MIN,
        i32::MAX,
        1 << 30,
        199,
        200,
        256,
        170,
        184,
        190,
        191,
        192,
    ] {
        for called in ["narrow0_0", "wide0_0", "shared", "flags", "number"] {
            commands.push(call(called, at, 1));
        }
    }
    for (called, at, n) in [
        ("shared", 19, 5),
        ("shared", 20, 5),
        ("shared", 21, 5),
        ("change", 195, 9),
        ("change", 0, 9),
        ("narrow0_0", 0, 2),
        ("grow", 210, 20),
        ("narrow0_0", 215, 2),
        ("grow", 230, 100),
        ("later", 50, 2),
        ("later", 60, 4),
        ("wide0_0", 60, 4),
        ("later", 219, 4),
        ("copy", 0, 3),
        ("copy", 1, 4),
        ("copy", 190, 5),
        ("clear", 100, 6),
        ("narrow0_0", 100, 1),
        ("clear", 0, 6),
        ("flags", 3, 1),
        ("flags", 0, 1),
        ("deep", 180, 0),
        ("deep", 181, 0),
        ("deep", 180, 1),
        ("deep", 181, 1),
        ("deep", 182, 1),
        ("deep", 183, 1),
    ] {
        commands.push(call(called, at, n));
        commands.push(Command::Get(name(), "sum".into()));
        commands.push(Command::Memory(name()));
    }
    commands
}

/// Runs a script here and there; counts how calls ended, by the words of their traps.
fn compared(what: &str, settings: &Settings, commands: &[Command]) -> BTreeMap<String, u32> {
    let mut tally = BTreeMap::new();
    let (here, there) = on_both(what, settings, commands);
    let compiled = |o: &Outcome| o.status != Status::Ok || o.text == "compiled";
    assert!(there.get(2).is_some_and(compiled), "{there:?}");
    for (command, (here, there)) in commands.iter().zip(here.iter().zip(&there)) {
        assert_eq!(facts(here), facts(there), "{command:?}, {settings:?}");
        if matches!(command, Command::Invoke(..)) {
            let text = match here.status {
                Status::Trap => here.text.clone(),
                other => format!("{other:?}"),
            };
            *tally.entry(text).or_default() += 1;
        }
    }
    tally
}

const WHOLE: Settings = Settings {
    slice: 1 << 20,
    fuel: 1 << 24,
    pages: 1,
    entries: 256,
    stack: 4096,
    strict: false,
    compiled: true,
};

#[test]
#[ignore = "needs QEMU and dist/machine.elf; test/engine/conformance.test.ts runs it"]
fn indirect_calls_come_to_the_same_on_the_chip() {
    let (text, names) = module();
    let commands = script(&text, &names);
    // Stacks that end at other places of a frame, too.
    for (slice, stack) in [
        (1 << 20, 4096),
        (64, 4092),
        (1, 4072),
        (1 << 20, 3000),
        (1 << 20, 2988),
    ] {
        let settings = Settings {
            slice,
            stack,
            ..WHOLE
        };
        let tally = compared(&format!("indirect-{slice}-{stack}"), &settings, &commands);
        println!("slices of {slice}, a stack of {stack}: {tally:?}");
        let ended = |what: &str| {
            tally
                .iter()
                .filter(|(text, _)| text.contains(what))
                .map(|(_, n)| n)
                .sum::<u32>()
        };
        assert!(
            ended("Ok") > 200 && ended("indirect call type") > 30,
            "{tally:?}"
        );
        assert!(
            ended("undefined element") > 10 && ended("uninitialized") > 5,
            "{tally:?}"
        );
        assert!(ended("stack") >= 6 && ended("zero") > 1, "{tally:?}");
    }
}

#[test]
#[ignore = "needs QEMU and dist/machine.elf; test/engine/conformance.test.ts runs it"]
fn fuel_that_ends_anywhere_around_indirect_calls_leaves_the_same_on_the_chip() {
    let (text, names) = module();
    let name = || String::from("m");
    let mut commands = script(&text, &[]);
    commands.truncate(3);
    // What a call has is what `memory.fill` leaves of it: all that it takes, and up to one unit less each time.
    const GIVEN: u64 = 900;
    let step = 1 + 12 / setting("WASMOTE_FUEL", 2) as usize;
    for (index, called) in names.iter().enumerate() {
        let own = (index / 2 * 3) as i32;
        let least = GIVEN as usize - 400;
        for burn in (least + index % step..GIVEN as usize).step_by(step) {
            commands.push(Command::Invoke(
                name(),
                "burn".into(),
                vec![Value::I32(burn as i32)],
            ));
            let at = [0, 1, 2, 83, 170, 190, 191][burn / step % 7];
            let at = if burn % 3 == 0 && index < 2 { at } else { own };
            let values = vec![Value::I32(at), Value::I32(2)];
            commands.push(Command::Invoke(name(), called.clone(), values));
        }
        commands.push(Command::Get(name(), "sum".into()));
    }
    let settings = Settings {
        slice: GIVEN,
        fuel: 1,
        ..WHOLE
    };
    let tally = compared("indirect-fuel", &settings, &commands);
    println!("{tally:?}");
    let (done, spent) = (tally.get("Ok"), tally.get("Fuel"));
    assert!(done > Some(&3000) && spent > Some(&800), "{tally:?}");
}
