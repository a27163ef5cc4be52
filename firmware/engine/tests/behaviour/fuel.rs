//! Fuel: charged by the segment, one unit for each byte of code, and tested at function entries, loop heads, host calls and bulk
//! operations, and nowhere else.
use crate::{call, finish, with};
use wasmote_engine::{Host, Options, Run, Value};

fn used(text: &str, name: &str, arguments: &[Value]) -> u64 {
    let mut used = 0;
    with(text, &Options::default(), |instance| {
        finish(instance).unwrap();
        let before = instance.fuel_used();
        call(instance, name, arguments).unwrap();
        used = instance.fuel_used() - before;
    });
    used
}

#[test]
fn a_straight_line_costs_its_bytes_and_is_never_cut() {
    // 40 times nop, and the end.
    let text = format!("(module (func (export \"f\") {}))", "nop ".repeat(40));
    assert_eq!(used(&text, "f", &[]), 41);
    with(&text, &Options::default(), |instance| {
        finish(instance).unwrap();
        instance.call(0, &[]).unwrap();
        let mut fuel = 1;
        assert_eq!(instance.run(&mut fuel), Run::Done);
        assert_eq!(fuel, 0);
        // What it took beyond its fuel is owed, and paid by the next run.
        instance.call(0, &[]).unwrap();
        let mut fuel = 40;
        assert_eq!(instance.run(&mut fuel), Run::OutOfFuel);
        let mut fuel = 1;
        assert_eq!(instance.run(&mut fuel), Run::Done);
    });
}

#[test]
fn a_branch_not_taken_costs_nothing_of_what_it_skips() {
    let text = r#"(module (func (export "f") (param i32)
      (if (local.get 0) (then nop nop nop nop nop nop nop nop nop nop))))"#;
    let (taken, skipped) = (
        used(text, "f", &[Value::I32(1)]),
        used(text, "f", &[Value::I32(0)]),
    );
    // The type of the block, ten instructions, its end.
    assert_eq!(taken - skipped, 12);
}

#[test]
fn forward_branches_and_blocks_do_not_test_the_fuel() {
    let text = r#"(module (func (export "f") (result i32)
      (block (br 0)) (block (br_if 0 (i32.const 1))) (if (i32.const 0) (then (nop)) (else (nop)))
      (block (br_table 0 0 (i32.const 0))) (i32.const 9)))"#;
    with(text, &Options::default(), |instance| {
        finish(instance).unwrap();
        instance.call(0, &[]).unwrap();
        let mut fuel = 1;
        assert_eq!(instance.run(&mut fuel), Run::Done);
        assert_eq!(instance.results().collect::<Vec<_>>(), [Value::I32(9)]);
    });
}

/// How often a run of `f` is suspended when it gets one unit at a time and pays what it owes at once.
fn suspensions(text: &str) -> u32 {
    let mut count = 0;
    with(text, &Options::default(), |instance| {
        finish(instance).unwrap();
        let function = instance.module().export_function("f").unwrap();
        let mut paid = instance.fuel_used();
        instance.call(function, &[]).unwrap();
        loop {
            // What is owed, and one unit more: enough to get on from where it stands.
            let mut fuel = instance.fuel_used() - paid + 1;
            paid += fuel;
            match instance.run(&mut fuel) {
                Run::Done => break,
                Run::OutOfFuel => count += 1,
                Run::Host(_) => instance.resume(&[]).unwrap(),
                other => panic!("{other:?}"),
            }
            paid -= fuel;
        }
    });
    count
}

#[test]
fn loop_heads_entries_host_calls_and_bulk_operations_test_it() {
    assert_eq!(suspensions(r#"(module (func (export "f") (nop)))"#), 0);
    // Back to the head four times.
    let head = r#"(module (func (export "f") (local i32) (loop
      (br_if 0 (i32.lt_u (local.tee 0 (i32.add (local.get 0) (i32.const 1))) (i32.const 5))))))"#;
    assert_eq!(suspensions(head), 4);
    // Into another function twice.
    let entry = r#"(module (func $g) (func (export "f") (call $g) (call $g)))"#;
    assert_eq!(suspensions(entry), 2);
    // Before each of the two calls, but for the first, which the unit is enough for.
    let host =
        r#"(module (import "h" "h" (func)) (func (export "f") (nop) (call 0) (nop) (call 0)))"#;
    assert_eq!(suspensions(host), 2);
    let bulk = r#"(module (memory 1 (pagesize 1))
      (func (export "f") (memory.fill (i32.const 0) (i32.const 1) (i32.const 1))))"#;
    assert_eq!(suspensions(bulk), 1);
    let nothing = r#"(module (memory 1 (pagesize 1))
      (func (export "f") (memory.fill (i32.const 0) (i32.const 1) (i32.const 0))))"#;
    assert_eq!(suspensions(nothing), 0);
}

#[test]
fn bulk_operations_cost_their_length() {
    let cases = [
        "(memory.fill (i32.const 0) (i32.const 7) (local.get 0))",
        "(memory.copy (i32.const 0) (i32.const 50) (local.get 0))",
        "(memory.init 0 (i32.const 0) (i32.const 0) (local.get 0))",
        "(table.fill 0 (i32.const 0) (ref.null func) (local.get 0))",
        "(table.copy (i32.const 0) (i32.const 50) (local.get 0))",
        "(table.init 0 (i32.const 0) (i32.const 0) (local.get 0))",
        "(drop (table.grow 0 (ref.null func) (local.get 0)))",
    ];
    for case in cases {
        let text = format!(
            r#"(module (memory 100 (pagesize 1)) (table 100 200 funcref) (data "{}") (elem func {})
              (func $g) (func (export "f") (param i32) {case}))"#,
            "x".repeat(60),
            "$g ".repeat(60),
        );
        let mut costs = Vec::new();
        for n in [0, 1, 33] {
            with(
                &text,
                &Options {
                    table_entries: Some(200),
                    ..Options::default()
                },
                |instance| {
                    finish(instance).unwrap();
                    let before = instance.fuel_used();
                    call(instance, "f", &[Value::I32(n)]).unwrap();
                    costs.push(instance.fuel_used() - before);
                },
            );
        }
        assert_eq!(
            (costs[1] - costs[0], costs[2] - costs[0]),
            (1, 33),
            "{case}"
        );
    }
}

#[test]
fn several_values_that_are_moved_cost_their_number() {
    for ty in ["i32", "i64"] {
        for n in [1, 2, 100] {
            let (types, values) = (
                format!("{ty} ").repeat(n),
                format!("({ty}.const 1) ").repeat(n),
            );
            let branch = |below: &str| {
                let drops = "drop ".repeat(n);
                let text = format!(
                    r#"(module (func (export "f") (block (result {types}) {below} {values} (br 0)) {drops}))"#
                );
                used(&text, "f", &[])
            };
            let moved = if n > 1 { n as u64 } else { 0 };
            // The operand below costs its two bytes; without it nothing is moved.
            assert_eq!(branch("(i32.const 0)") - branch(""), 2 + moved);
            // A return moves them down to where the frame was.
            let text = format!(r#"(module (func (export "f") (result {types}) {values}))"#);
            assert_eq!(used(&text, "f", &[]), 2 * n as u64 + 1 + moved);
        }
    }
    // A few bytes of code cannot move thousands of values for nothing: a loop that takes one more and drops the first.
    let (types, values) = ("i32 ".repeat(300), "(i32.const 1) ".repeat(300));
    let text = format!(
        r#"(module (func (export "f") (param i32) {values}
          (loop (param {types}) (result {types})
            (i32.const 9)
            (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))
            drop)
          {}))"#,
        "drop ".repeat(300)
    );
    let rounds = |n: i32| used(&text, "f", &[Value::I32(n)]);
    assert!((301..330).contains(&(rounds(11) - rounds(10))));
    assert_eq!(rounds(110) - rounds(10), 100 * (rounds(11) - rounds(10)));
}

#[test]
fn setting_up_and_the_start_function_are_metered_and_can_be_suspended() {
    let text = r#"(module (memory 64 (pagesize 1)) (data (i32.const 0) "0123456789")
      (func $spin (loop (br 0))) (start $spin))"#;
    with(text, &Options::default(), |instance| {
        let mut slices = 0;
        for _ in 0..100 {
            let mut fuel = 50;
            assert_eq!(instance.run(&mut fuel), Run::OutOfFuel);
            assert_eq!(fuel, 0);
            slices += 50;
        }
        assert!((slices..slices + 50).contains(&instance.fuel_used()));
        // It was never set up: it can be read, not called.
        instance.cancel();
        assert_eq!(instance.memory()[3], b'3');
        assert!(instance.call(0, &[]).is_err());
    });
}

#[test]
fn a_host_call_is_answered_and_goes_on_where_it_was() {
    let text = r#"(module (import "h" "add" (func (param i32 i64) (result i64)))
      (func (export "f") (param i32) (result i64) (call 0 (local.get 0) (i64.const 40))))"#;
    with(text, &Options::default(), |instance| {
        finish(instance).unwrap();
        instance.call(1, &[Value::I32(2)]).unwrap();
        let mut fuel = 1000;
        let Run::Host(Host::Import(0, ty)) = instance.run(&mut fuel) else {
            panic!("no host call")
        };
        assert_eq!(ty.results().count(), 1);
        let arguments: Vec<_> = instance.arguments().collect();
        assert_eq!(arguments, [Value::I32(2), Value::I64(40)]);
        // Answers of the wrong type or number are refused, and asking again gives the same.
        assert!(instance.resume(&[]).is_err());
        assert!(instance.resume(&[Value::I32(1)]).is_err());
        assert!(matches!(
            instance.run(&mut fuel),
            Run::Host(Host::Import(0, _))
        ));
        instance.resume(&[Value::I64(42)]).unwrap();
        assert!(instance.resume(&[Value::I64(42)]).is_err());
        assert_eq!(instance.run(&mut fuel), Run::Done);
        assert_eq!(instance.results().collect::<Vec<_>>(), [Value::I64(42)]);
    });
}

#[test]
fn a_call_has_results_of_its_own_type_whatever_host_calls_it_made() {
    let text = r#"(module
      (import "h" "none" (func (param i64)))
      (import "h" "wide" (func (result i64)))
      (func (export "f") (param f32) (result f32 i32)
        (call 0 (i64.const 1)) (drop (call 1)) (local.get 0) (i32.const 8)))"#;
    with(text, &Options::default(), |instance| {
        finish(instance).unwrap();
        instance.call(2, &[Value::F32(1.5)]).unwrap();
        let mut fuel = 1000;
        for answer in [&[][..], &[Value::I64(-1)]] {
            assert!(matches!(instance.run(&mut fuel), Run::Host(_)));
            instance.resume(answer).unwrap();
        }
        assert_eq!(instance.run(&mut fuel), Run::Done);
        let results: Vec<_> = instance.results().collect();
        assert_eq!(results, [Value::F32(1.5), Value::I32(8)]);
    });
}
