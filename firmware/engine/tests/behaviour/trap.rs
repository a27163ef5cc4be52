//! A trap has its kind, its function, its byte and the calls that led there; the instance stays readable, and callable.
use crate::{assemble, call, finish, load, with};
use wasmote_engine::{Module, Options, PageSizes, Run, TrapKind, Value, instruction};

/// Every trap there is: what traps, its kind, and the instruction it is at.
const TRAPS: [(&str, TrapKind, &str); 22] = [
    ("unreachable", TrapKind::Unreachable, "unreachable"),
    (
        "(drop (i32.div_s (i32.const 1) (i32.const 0)))",
        TrapKind::DivideByZero,
        "i32.div_s",
    ),
    (
        "(drop (i64.rem_u (i64.const 1) (i64.const 0)))",
        TrapKind::DivideByZero,
        "i64.rem_u",
    ),
    (
        "(drop (i32.div_s (i32.const 0x80000000) (i32.const -1)))",
        TrapKind::IntegerOverflow,
        "i32.div_s",
    ),
    (
        "(drop (i64.div_s (i64.const 0x8000000000000000) (i64.const -1)))",
        TrapKind::IntegerOverflow,
        "i64.div_s",
    ),
    (
        "(drop (i32.trunc_f32_s (f32.const 3e9)))",
        TrapKind::IntegerOverflow,
        "i32.trunc_f32_s",
    ),
    (
        "(drop (i32.trunc_f64_u (f64.const nan)))",
        TrapKind::InvalidConversion,
        "i32.trunc_f64_u",
    ),
    (
        "(drop (i32.load offset=61 (i32.const 0)))",
        TrapKind::MemoryOutOfBounds,
        "i32.load offset=61",
    ),
    (
        "(drop (i64.load8_s (i32.const -1)))",
        TrapKind::MemoryOutOfBounds,
        "i64.load8_s",
    ),
    (
        "(drop (f64.load offset=4294967295 (i32.const -1)))",
        TrapKind::MemoryOutOfBounds,
        "f64.load offset=4294967295",
    ),
    (
        "(i64.store align=1 (i32.const 57) (i64.const 0))",
        TrapKind::MemoryOutOfBounds,
        "i64.store align=1",
    ),
    (
        "(memory.fill (i32.const 60) (i32.const 0) (i32.const 5))",
        TrapKind::MemoryOutOfBounds,
        "memory.fill",
    ),
    (
        "(memory.copy (i32.const 0) (i32.const 1) (i32.const 64))",
        TrapKind::MemoryOutOfBounds,
        "memory.copy",
    ),
    (
        "(memory.init 0 (i32.const 0) (i32.const 2) (i32.const 2))",
        TrapKind::MemoryOutOfBounds,
        "memory.init 0",
    ),
    (
        "(drop (table.get 0 (i32.const 4)))",
        TrapKind::TableOutOfBounds,
        "table.get 0",
    ),
    (
        "(table.set 0 (i32.const -1) (ref.null func))",
        TrapKind::TableOutOfBounds,
        "table.set 0",
    ),
    (
        "(table.init 0 (i32.const 4) (i32.const 0) (i32.const 1))",
        TrapKind::TableOutOfBounds,
        "table.init 0 0",
    ),
    (
        "(table.fill 0 (i32.const 3) (ref.null func) (i32.const 2))",
        TrapKind::TableOutOfBounds,
        "table.fill 0",
    ),
    (
        "(call_indirect (i32.const 4))",
        TrapKind::UndefinedElement,
        "call_indirect 0 (type 0)",
    ),
    (
        "(call_indirect (i32.const 3))",
        TrapKind::UninitializedElement,
        "call_indirect 0 (type 0)",
    ),
    (
        "(call_indirect (param i32) (i32.const 0) (i32.const 0))",
        TrapKind::IndirectCallType,
        "call_indirect 0 (type 1)",
    ),
    ("(call $again)", TrapKind::StackExhausted, "call 1"),
];

#[test]
fn every_kind_of_trap_names_its_instruction_and_its_calls() {
    for (body, kind, at) in TRAPS {
        let text = format!(
            r#"(module (type (func)) (memory 64 (pagesize 1)) (table 4 funcref) (elem (i32.const 0) $f)
              (data "abc") (elem func $f) (global (export "g") (mut i32) (i32.const 1))
              (func $f) (func $again (call $again))
              (func $inner (global.set 0 (i32.const 7)) (i32.store8 (i32.const 5) (i32.const 9)) {body})
              (func $middle (param i64) (call $inner))
              (func (export "outer") (nop) (call $middle (i64.const 1))))"#
        );
        with(&text, &Options::default(), |instance| {
            finish(instance).unwrap();
            let trap = call(instance, "outer", &[]).unwrap_err();
            assert_eq!(trap.kind, kind, "{body}");
            let bytes = instance.module().bytes();
            let shown = |offset| instruction(bytes, offset).unwrap().to_string();
            // A call that found no room is at the call, in the function that made it.
            let inside = if kind == TrapKind::StackExhausted {
                1
            } else {
                2
            };
            assert_eq!(
                (trap.place.function, shown(trap.place.offset).as_str()),
                (inside, at),
                "{body}"
            );
            let calls: Vec<_> = instance.backtrace().collect();
            assert_eq!(calls[0], trap.place);
            let outer: Vec<_> = calls[calls.len() - 3..]
                .iter()
                .map(|place| (place.function, shown(place.offset)))
                .collect();
            assert_eq!(
                outer[1..],
                [(3, "call 2".to_owned()), (4, "call 3".to_owned())],
                "{body}"
            );
            assert_eq!(outer[0].0, 2, "{body}");
            // Its state can be read, and it can be called again.
            assert_eq!(instance.global(0), Some(Value::I32(7)));
            assert_eq!(instance.memory()[5], 9);
            assert_eq!(instance.results().count(), 0);
            assert_eq!(call(instance, "outer", &[]).unwrap_err(), trap);
        });
    }
}

#[test]
fn the_place_of_a_call_is_its_first_byte_whatever_its_numbers_look_like() {
    // Indices of 16 and 17 look like the opcodes of the calls, and the constant before a call as well.
    let types: String = (0..18)
        .map(|n| format!("(type (func{}))", " (param i64)".repeat(n % 16)))
        .collect();
    let text = format!(
        r#"(module {types} (table 2 funcref) (elem (i32.const 0) $trap $again)
          (func $trap (type 16) (unreachable))
          (func $again (type 17) (param i64) (call_indirect (type 16) (i32.const 0)))
          (func $third (local i64 f32) (call_indirect (type 17) (i64.const 0) (i32.const 1)))
          (func (export "f") (drop (i32.const 0x11)) (call $third)
            (drop (i32.const 0x11)) (call $third)))"#
    );
    with(&text, &Options::default(), |instance| {
        finish(instance).unwrap();
        let trap = call(instance, "f", &[]).unwrap_err();
        assert_eq!(trap.kind, TrapKind::Unreachable);
        let bytes = instance.module().bytes();
        let shown: Vec<_> = instance
            .backtrace()
            .map(|place| {
                let instruction = instruction(bytes, place.offset).unwrap();
                (place.function, instruction.to_string())
            })
            .collect();
        let expected = [
            (0, "unreachable"),
            (1, "call_indirect 0 (type 16)"),
            (2, "call_indirect 0 (type 17)"),
            (3, "call 2"),
        ];
        assert_eq!(shown, expected.map(|(f, text)| (f, text.to_owned())));
    });
    // A host call of import 0 after a byte that could be an indirect call's.
    let text = r#"(module (import "h" "h" (func)) (func (export "f")
      (drop (i32.const 0x11)) (call 0)))"#;
    with(text, &Options::default(), |instance| {
        finish(instance).unwrap();
        instance.call(1, &[]).unwrap();
        let mut fuel = 1000;
        assert!(matches!(instance.run(&mut fuel), Run::Host(_)));
        let place = instance.backtrace().next().unwrap();
        let bytes = instance.module().bytes();
        let shown = instruction(bytes, place.offset).unwrap().to_string();
        assert_eq!((place.function, shown.as_str()), (1, "call 0"));
        // Its opcode and its number: the last byte of it is known without a search.
        assert_eq!(instance.called_at(), place.offset + 1);
        instance.resume(&[]).unwrap();
        assert_eq!(instance.called_at(), 0);
    });
    // One that nobody called is nowhere.
    let text = r#"(module (import "h" "h" (func)) (start 0))"#;
    with(text, &Options::default(), |instance| {
        assert!(matches!(instance.run(&mut 1000), Run::Host(_)));
        assert_eq!(instance.called_at(), 0);
    });
}

#[test]
fn a_trap_while_segments_are_initialised_is_at_the_segment() {
    let text =
        r#"(module (memory 4 (pagesize 1)) (data (i32.const 1) "ab") (data (i32.const 3) "cd"))"#;
    with(text, &Options::default(), |instance| {
        let trap = finish(instance).unwrap_err();
        assert_eq!(trap.kind, TrapKind::MemoryOutOfBounds);
        assert_eq!(trap.place.function, u32::MAX);
        // The second segment: flags, an offset expression, the bytes.
        let bytes = instance.module().bytes();
        let at = trap.place.offset as usize;
        assert_eq!(bytes[at..at + 7], [0, 0x41, 3, 0x0b, 2, b'c', b'd']);
        // What the first one wrote stays (WebAssembly 2.0 §4.5.4).
        assert_eq!(instance.memory(), b"\0ab\0");
    });
}

#[test]
fn a_refused_host_call_traps_at_the_call() {
    let text = r#"(module (import "h" "h" (func)) (func (export "f") (nop) (call 0)))"#;
    with(text, &Options::default(), |instance| {
        finish(instance).unwrap();
        instance.call(1, &[]).unwrap();
        let mut fuel = 1000;
        assert!(matches!(instance.run(&mut fuel), Run::Host(_)));
        let trap = instance.abort(TrapKind::Host).unwrap();
        assert_eq!((trap.kind, trap.place.function), (TrapKind::Host, 1));
        let shown = instruction(instance.module().bytes(), trap.place.offset).unwrap();
        assert_eq!(shown.to_string(), "call 0");
        assert!(instance.abort(TrapKind::Host).is_err());
    });
}

#[test]
fn a_listing_shows_a_whole_function() {
    let bytes = assemble(
        r#"(module (memory 1) (func (export "f") (param i32) (result f32) (block (br_table 0 0 0 (local.get 0)))
          (select (result f32) (f32.const -0.5) (f32.const nan) (i64.eqz (i64.const -7)))))"#,
    );
    let (table, summary) = load(&bytes, PageSizes::Any).unwrap();
    assert!(Module::new(&bytes, &table, &summary).is_some());
    let start = bytes
        .windows(2)
        .position(|pair| pair == [0x02, 0x40])
        .unwrap();
    let (mut at, mut lines) = (start as u32, Vec::new());
    while let Some(one) = instruction(&bytes, at) {
        lines.push(one.to_string());
        at += one.length;
        if at as usize >= bytes.len() {
            break;
        }
    }
    assert_eq!(
        lines,
        [
            "block",
            "local.get 0",
            "br_table 0 0 0",
            "end",
            "f32.const -0.5",
            "f32.const nan of bits 0x7fc00000",
            "i64.const -7",
            "i64.eqz",
            "select (result f32)",
            "end"
        ]
    );
}
