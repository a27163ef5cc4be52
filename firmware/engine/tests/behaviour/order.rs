//! Whatever an embedder does to an instance, in whatever order: a call comes to its own results or its own trap, and what is
//! out of place is refused without a trace.
use crate::{finish, with};
use wasmote_engine::{Aside, Host, Instance, InstanceError, Options, Run, TrapKind, Value};

/// Functions of 32-bit slots and of 64-bit ones, that ask the host, spin, trap and recurse.
const MODULE: &str = r#"(module
  (import "h" "none" (func $none (param i64)))
  (import "h" "double" (func $double (param i32) (result i64)))
  (func $narrow (export "narrow") (param i32) (result i32)
    (call $none (i64.const 7))
    (i32.add (local.get 0) (i32.wrap_i64 (call $double (local.get 0)))))
  (func (export "wide") (param i32 f32) (result f32 i64)
    (local.get 1) (i64.add (i64.extend_i32_s (local.get 0)) (call $double (local.get 0))))
  (func (export "spin") (param i32) (result i32)
    (loop $on (br_if $on (i32.gt_s (local.tee 0 (i32.sub (local.get 0) (i32.const 1))) (i32.const 0))))
    (local.get 0))
  (func (export "trap") (param i32) (result i64)
    (drop (call $narrow (local.get 0))) (unreachable))
  (func $deep (export "deep") (param i32) (result f32)
    (f32.add (call $deep (local.get 0)) (f32.const 1))))"#;

/// A call that is under way: what it has to come to.
#[derive(Clone, Debug)]
struct Call {
    expected: Result<Vec<Value>, TrapKind>,
    /// The host call that it waits in: which import, and its arguments.
    waits: Option<(u32, Vec<Value>)>,
}

/// Pseudo-random numbers that are the same in every run (xorshift64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }
}

#[test]
fn any_order_of_calls_leaves_each_with_what_it_comes_to() {
    let options = Options {
        stack: 2000,
        ..Options::default()
    };
    let (mut ended, mut refused, mut nested) = (0, 0, 0);
    for seed in 1..=200 {
        let mut random = Random(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed));
        with(MODULE, &options, |instance| {
            finish(instance).unwrap();
            let mut current: Option<Call> = None;
            // The results of the last call stay until something else is begun.
            let mut last: Vec<Value> = Vec::new();
            let mut outer: Vec<(Aside, Call)> = Vec::new();
            for _ in 0..300 {
                let waits = current.as_ref().and_then(|call| call.waits.clone());
                match random.below(20) {
                    0..=3 => {
                        let x = random.below(30) as i32;
                        let (name, second, expected) = match random.below(5) {
                            0 => ("narrow", None, Ok(vec![Value::I32(3 * x)])),
                            1 => {
                                let (f, i) = (Value::F32(0.5), Value::I64(3 * i64::from(x)));
                                ("wide", Some(f), Ok(vec![f, i]))
                            }
                            2 => ("spin", None, Ok(vec![Value::I32(0.min(x - 1))])),
                            3 => ("trap", None, Err(TrapKind::Unreachable)),
                            _ => ("deep", None, Err(TrapKind::StackExhausted)),
                        };
                        let given: Vec<_> = [Value::I32(x)].into_iter().chain(second).collect();
                        let function = instance.module().export_function(name).unwrap();
                        // Values of other types are refused, in whatever state.
                        assert!(instance.call(function, &[Value::I64(1)]).is_err());
                        let called = instance.call(function, &given);
                        if current.is_some() {
                            assert_eq!(called, Err(InstanceError::State));
                            refused += 1;
                        } else {
                            assert_eq!(called, Ok(()));
                            let waits = None;
                            current = Some(Call { expected, waits });
                            last.clear();
                        }
                    }
                    4..=11 => {
                        let mut fuel = random.below(100);
                        let run = instance.run(&mut fuel);
                        let Some(call) = current.as_mut() else {
                            // What a call that was given up owes is paid first.
                            assert!(matches!(run, Run::Done | Run::OutOfFuel));
                            assert_eq!(instance.results().collect::<Vec<_>>(), last);
                            continue;
                        };
                        match run {
                            Run::OutOfFuel => {}
                            Run::Host(Host::Import(import, _)) => {
                                let arguments: Vec<_> = instance.arguments().collect();
                                let pending = (import, arguments);
                                // Asked again, it is the same.
                                assert!(call.waits.as_ref().is_none_or(|one| *one == pending));
                                call.waits = Some(pending);
                            }
                            Run::Done => {
                                last = instance.results().collect();
                                assert_eq!(Ok(last.clone()), call.expected);
                                ended += 1;
                                current = None;
                            }
                            Run::Trap(trap) => {
                                // With calls set aside there is less stack for those inside.
                                let full =
                                    !outer.is_empty() && trap.kind == TrapKind::StackExhausted;
                                assert!(full || Err(trap.kind) == call.expected, "{trap} {call:?}");
                                ended += 1;
                                current = None;
                            }
                            other => panic!("{other:?}"),
                        }
                    }
                    12..=16 => match waits {
                        Some((import, arguments)) => {
                            assert!(instance.resume(&[Value::F64(1.0)]).is_err());
                            let answer = match (import, arguments.as_slice()) {
                                (0, [Value::I64(7)]) => vec![],
                                (1, [Value::I32(x)]) => vec![Value::I64(2 * i64::from(*x))],
                                other => panic!("{other:?}"),
                            };
                            assert_eq!(instance.resume(&answer), Ok(()));
                            current.as_mut().unwrap().waits = None;
                        }
                        None => {
                            assert_eq!(instance.resume(&[]), Err(InstanceError::State));
                            refused += 1;
                        }
                    },
                    17 => {
                        if random.below(2) == 0 {
                            instance.cancel();
                            current = None;
                            assert_eq!(instance.results().collect::<Vec<_>>(), last);
                        } else if waits.is_some() {
                            let trap = instance.abort(TrapKind::Host).unwrap();
                            assert_eq!(trap.kind, TrapKind::Host);
                            current = None;
                        } else {
                            assert!(instance.abort(TrapKind::Host).is_err());
                            refused += 1;
                        }
                    }
                    _ => match (instance.set_aside(), current.take()) {
                        (Some(aside), Some(call)) => {
                            assert!(call.waits.is_some());
                            outer.push((aside, call));
                            nested += 1;
                            last.clear();
                        }
                        (None, call) => {
                            assert!(call.as_ref().is_none_or(|call| call.waits.is_none()));
                            current = call;
                            if let Some((aside, call)) = outer.pop() {
                                assert!(instance.take_up(aside));
                                current = Some(call);
                                last.clear();
                            }
                        }
                        (Some(_), None) => panic!("nothing was pending"),
                    },
                }
            }
        });
    }
    assert!(
        ended > 2000 && refused > 10_000 && nested > 900,
        "{ended} {refused} {nested}"
    );
}

#[test]
fn only_what_was_set_aside_last_is_taken_up_and_only_by_its_instance() {
    let pending = |instance: &mut Instance<'_, '_>| {
        let function = instance.module().export_function("narrow").unwrap();
        instance.call(function, &[Value::I32(4)]).unwrap();
        assert!(matches!(instance.run(&mut 1000), Run::Host(_)));
        instance.set_aside().unwrap()
    };
    with(MODULE, &Options::default(), |one| {
        finish(one).unwrap();
        let (outer, inner) = (pending(one), pending(one));
        with(MODULE, &Options::default(), |other| {
            finish(other).unwrap();
            let own = pending(other);
            assert!(!other.take_up(inner));
            assert!(other.take_up(own));
        });
        // `inner` is lost with that: what is outside of it cannot be reached any more.
        assert!(!one.take_up(outer));
        assert!(one.is_idle());
    });
}
