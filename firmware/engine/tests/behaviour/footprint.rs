//! What an instance needs is known to the byte before it runs, and it never needs more.
use crate::{assemble, call, finish, load, with, with_bytes};
use wasmote_engine::{Footprint, Module, Options, PageSizes, Run, TrapKind, Value};

fn footprint(text: &str, options: &Options) -> Footprint {
    let bytes = assemble(text);
    let (table, summary) = load(&bytes, PageSizes::Any).unwrap();
    Module::new(&bytes, &table, &summary)
        .unwrap()
        .footprint(options)
}

/// A chain of calls, each with locals and operands: `$a` calls `$b` calls `$c`. `$b` has 64-bit values.
/// And `$c` asks the host, with operands up to the end of its frame.
const CHAIN: &str = r#"(module
  (func $h (import "h" "h") (param i32 i32 i32 i32) (result i32))
  (func $c (param i32 i32) (result i32) (local i32 i32 i32)
    (local.set 2 (i32.const -1)) (local.set 3 (i32.const -1)) (local.set 4 (i32.const -1))
    (call $h (local.get 2) (local.get 2) (local.get 2) (local.get 2)))
  (func $b (param i32) (result i64) (local i64)
    (local.set 1 (i64.const -1))
    (i64.add (local.get 1) (i64.extend_i32_s (call $c (local.get 0) (i32.const 7)))))
  (func $a (export "a") (result i32) (local i32)
    (local.set 0 (i32.const -1))
    (i32.wrap_i64 (call $b (i32.const 3)))))"#;

#[test]
fn each_part_is_said_to_the_byte() {
    let text = r#"(module
      (memory 2 4 (pagesize 1024)) (table 3 9 funcref) (table 1 externref)
      (global (mut i32) (i32.const 1)) (global (mut i64) (i64.const 2)) (global f32 (f32.const 3))
      (data "a") (data "b") (elem func) (func))"#;
    // The assembler knows the page sizes of the proposal only: 1,024 is put in by hand.
    let text = text.replace(" (pagesize 1024)", " (pagesize 1)");
    let found = footprint(&text, &Options::default());
    assert_eq!(found.memory, 8);
    // Three globals of 8 bytes, and a word of marks for the three segments.
    assert_eq!(found.globals, 3 * 8 + 4);
    // Two headers of three words and four entries, and what aligns the stack.
    assert_eq!(found.tables, 2 * 12 + 4 * 4 + 4);
    assert_eq!(found.depth, Some(1));
    assert_eq!(
        found.total,
        found.memory + u64::from(found.globals + found.tables + found.stack)
    );
    let granted = Options {
        memory_pages: Some(3),
        table_entries: Some(5),
        ..Options::default()
    };
    let more = footprint(&text, &granted);
    // Up to its own maximum, where it has one; a table without grows to what is granted.
    assert_eq!(more.memory, 8);
    assert_eq!(more.tables, 2 * 12 + (5 + 5) * 4 + 4);
}

#[test]
fn the_stack_of_calls_without_recursion_is_used_to_its_end_and_no_further() {
    let found = footprint(
        CHAIN,
        &Options {
            stack: 0,
            ..Options::default()
        },
    );
    assert_eq!(found.depth, Some(3));
    let region = with(
        CHAIN,
        &Options {
            stack: 0,
            ..Options::default()
        },
        |instance| {
            finish(instance).unwrap();
            let function = instance.module().export_function("a").unwrap();
            instance.call(function, &[]).unwrap();
            let mut fuel = 1000;
            assert!(matches!(instance.run(&mut fuel), Run::Host(_)));
            instance.resume(&[Value::I32(9)]).unwrap();
            assert_eq!(finish(instance), Ok(vec![Value::I32(8)]));
        },
    );
    // Records come down from the end to meet the operands. Between them is only what aligns three frames (4 bytes each) and
    // what arguments take that lie in the frames of caller and callee both (three of 8 bytes).
    let stack = &region[region.len() - found.stack as usize / 8..];
    let gap = stack
        .split(|word| *word != 0)
        .map(<[u64]>::len)
        .max()
        .unwrap_or(0);
    assert!(gap <= 4, "{gap} words of {stack:x?}");
}

#[test]
fn recursion_gets_the_stack_it_was_given_and_traps_at_the_same_place_each_time() {
    let text = r#"(module (func $f (export "f") (param i32) (result i32)
      (if (result i32) (local.get 0)
        (then (i32.add (i32.const 1) (call $f (i32.sub (local.get 0) (i32.const 1)))))
        (else (i32.const 0)))))"#;
    let options = |stack| Options {
        stack,
        ..Options::default()
    };
    let found = footprint(text, &options(1000));
    assert_eq!((found.depth, found.stack), (None, 1000));
    let deepest = |stack| {
        let mut deepest = 0;
        with(text, &options(stack), |instance| {
            finish(instance).unwrap();
            let fits = |instance: &mut _, n| call(instance, "f", &[Value::I32(n)]).is_ok();
            while fits(instance, deepest + 1) {
                deepest += 1;
            }
            let first = call(instance, "f", &[Value::I32(deepest + 1)]).unwrap_err();
            let second = call(instance, "f", &[Value::I32(10_000)]).unwrap_err();
            assert_eq!(first.kind, TrapKind::StackExhausted);
            assert_eq!(first, second);
        });
        deepest
    };
    let (one, two) = (deepest(1000), deepest(2000));
    assert!(one > 10);
    // A frame has its size: twice the stack is twice the depth.
    assert!((2 * one..=2 * one + 3).contains(&two), "{one} {two}");
}

#[test]
fn calls_take_no_stack_of_the_caller_however_deep_they_are() {
    // As deep as 64 MiB of a module's stack: a native frame for each call would take more than the thread has by far.
    let text = r#"(module (func $f (export "f") (param i32) (result i32)
      (if (result i32) (local.get 0)
        (then (call $f (i32.sub (local.get 0) (i32.const 1)))) (else (unreachable)))))"#;
    let work = move || {
        let options = Options {
            stack: 64 << 20,
            ..Options::default()
        };
        with(text, &options, |instance| {
            finish(instance).unwrap();
            let depth = 1_000_000;
            let trap = call(instance, "f", &[Value::I32(depth)]).unwrap_err();
            assert_eq!(trap.kind, TrapKind::Unreachable);
            assert_eq!(instance.backtrace().count(), depth as usize + 1);
            let trap = call(instance, "f", &[Value::I32(i32::MAX)]).unwrap_err();
            assert_eq!(trap.kind, TrapKind::StackExhausted);
        });
    };
    let thread = std::thread::Builder::new().stack_size(128 << 10);
    thread.spawn(work).unwrap().join().unwrap();
}

#[test]
fn a_memory_grows_to_what_is_granted_and_to_its_own_maximum() {
    let text = r#"(module (memory 1 5 (pagesize 1)) (func (export "grow") (param i32) (result i32)
      (memory.grow (local.get 0))) (func (export "size") (result i32) (memory.size)))"#;
    for (granted, most) in [
        (None, 1),
        (Some(0), 1),
        (Some(3), 3),
        (Some(5), 5),
        (Some(9), 5),
    ] {
        let options = Options {
            memory_pages: granted,
            ..Options::default()
        };
        with(text, &options, |instance| {
            finish(instance).unwrap();
            let mut grow = |by| call(instance, "grow", &[Value::I32(by)]).unwrap();
            assert_eq!(grow(most), [Value::I32(-1)]);
            assert_eq!(grow(most - 1), [Value::I32(1)]);
            assert_eq!(grow(1), [Value::I32(-1)]);
            assert_eq!(grow(-1), [Value::I32(-1)]);
            assert_eq!(call(instance, "size", &[]).unwrap(), [Value::I32(most)]);
            assert_eq!(instance.memory().len(), most as usize);
        });
    }
}

#[test]
fn a_memory_has_pages_of_the_size_that_its_module_says() {
    let text = r#"(module (memory 2 5 (pagesize 1))
      (func (export "size") (result i32) (memory.size))
      (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
      (func (export "put") (param i32) (i32.store8 (local.get 0) (i32.const 9)))
      (func (export "get") (param i32) (result i32) (i32.load8_u (local.get 0))))"#;
    let bytes = assemble(text);
    // The section, its size, one memory with a maximum and a page size, which the assembler knows two of.
    let section = [5, 5, 1, 9, 2, 5, 0];
    let at = bytes.windows(7).position(|seven| seven == section).unwrap() + 6;
    for log2 in 0..=16 {
        let mut bytes = bytes.clone();
        bytes[at] = log2;
        let page = 1i32 << log2;
        let options = Options {
            memory_pages: Some(4),
            ..Options::default()
        };
        let (table, summary) = load(&bytes, PageSizes::Any).unwrap();
        let module = Module::new(&bytes, &table, &summary).unwrap();
        let granted = (4u64 << log2).next_multiple_of(8);
        assert_eq!(module.footprint(&options).memory, granted, "2^{log2}");
        with_bytes(&bytes, &options, |instance| {
            finish(instance).unwrap();
            let mut run = |name: &str, value: Option<i32>| {
                let given: Vec<_> = value.map(Value::I32).into_iter().collect();
                let trap = |trap: wasmote_engine::Trap| trap.kind;
                call(instance, name, &given).map_err(trap)
            };
            let outside = Err(TrapKind::MemoryOutOfBounds);
            let number = |value| Ok(vec![Value::I32(value)]);
            assert_eq!(run("size", None), number(2), "2^{log2}");
            assert_eq!(run("put", Some(2 * page - 1)), Ok(vec![]), "2^{log2}");
            assert_eq!(run("put", Some(2 * page)), outside, "2^{log2}");
            assert_eq!(run("grow", Some(3)), number(-1), "2^{log2}");
            assert_eq!(run("grow", Some(2)), number(2), "2^{log2}");
            assert_eq!(run("get", Some(2 * page - 1)), number(9), "2^{log2}");
            assert_eq!(run("get", Some(4 * page - 1)), number(0), "2^{log2}");
            assert_eq!(run("get", Some(4 * page)), outside, "2^{log2}");
            assert_eq!(run("size", None), number(4), "2^{log2}");
        });
    }
}
