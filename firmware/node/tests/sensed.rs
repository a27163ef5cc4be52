//! What a module reads of a sensor: its newest value for as long as that is the present one, and none after that.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
mod rig;

use minicbor::Encoder;
use rig::{Memory, Rig, package, vectors};
use wasmote_coap::{Code, format};
use wasmote_node::Fault;
use wasmote_node::contract::section;

/// A module that publishes what it reads whenever it is asked, and counts samples on its other output.
const MODULE: &str = r#"(module
  (import "wasmote" "r" (func $read (param i32) (result f32)))
  (import "wasmote" "p" (func $publish (param i32 f32)))
  (import "wasmote" "y" (func $reply (param i32 i32 i32)))
  (memory 64 (pagesize 1))
  (global $count (mut f32) (f32.const 0))
  (global (export "buffer") i32 (i32.const 16))
  (func (export "sample") (param i32 f32)
    (global.set $count (f32.add (global.get $count) (f32.const 1)))
    (call $publish (i32.const 1) (global.get $count)))
  (func (export "request") (param i32 i32 i32)
    (call $publish (i32.const 0) (call $read (i32.const 0)))
    (call $reply (i32.const 0x45) (i32.const 0) (i32.const 0))))"#;

fn node() -> Rig {
    let mut bytes = vec![];
    let mut e = Encoder::new(&mut bytes);
    e.map(4).unwrap();
    e.u8(section::CONTRACT).unwrap().u8(1).unwrap();
    e.u8(section::SENSORS).unwrap().array(1).unwrap();
    e.str("level").unwrap();
    e.u8(section::OUTPUTS).unwrap().array(2).unwrap();
    for name in ["seen", "count"] {
        e.array(2).unwrap().str(name).unwrap().str("").unwrap();
    }
    e.u8(section::BUFFER).unwrap().u32(16).unwrap();
    let mut node = Rig::boot(&Memory::new(), &vectors().keys[..1]);
    let module = package::with_section(package::wasm(MODULE), &bytes);
    let (code, text) = node.push(&package::package(5, &module));
    assert_eq!(code, Code::CHANGED, "{}", String::from_utf8_lossy(&text));
    node
}

fn text(node: &mut Rig, path: &str) -> String {
    String::from_utf8(node.get(path, format::TEXT, "").1).unwrap()
}

/// What the module reads now.
fn read(node: &mut Rig) -> String {
    node.wait(100);
    let (code, _) = node.request(Code::GET, "app/x/read", &[], b"");
    assert_eq!(code, Code::CONTENT);
    text(node, "outputs/seen")
}

#[test]
fn a_module_reads_no_old_value_for_the_present_one() {
    let mut node = node();
    assert_eq!(read(&mut node), "NaN", "before the first sample");
    let mut samples = 0;
    for fault in [Fault::NoEcho, Fault::Damaged, Fault::Model, Fault::Silent] {
        node.sample(1234.0);
        samples += 1;
        assert_eq!(read(&mut node), "1234");
        // One fault among good samples says nothing of the newest, unless it is that none comes any more.
        node.fault(fault);
        let silent = fault == Fault::Silent;
        assert_eq!(read(&mut node), if silent { "NaN" } else { "1234" });
        // Without a fault a value stays what it is: its sensor may say something once an hour.
        node.sample(-7.5);
        samples += 1;
        node.wait(3_600_000);
        assert_eq!(read(&mut node), "-7.5");
        for _ in 0..3 {
            node.fault(fault);
            assert_eq!(read(&mut node), "NaN", "{fault:?}");
            assert_eq!(
                node.get("sensors/level", format::TEXT, "").0,
                Code::SERVICE_UNAVAILABLE
            );
        }
        node.sample(3.0);
        samples += 1;
        assert_eq!(read(&mut node), "3", "it is well again");
        // A fault runs no handler.
        assert_eq!(text(&mut node, "outputs/count"), samples.to_string());
    }
}

#[test]
fn that_a_sensor_has_no_value_is_told_when_the_queue_was_full_then() {
    let mut node = node();
    node.sample(1234.0);
    node.overwhelm(Fault::Silent);
    assert_eq!(read(&mut node), "NaN");
    // What comes after it counts, even where the queue is full again.
    node.sample(5.0);
    assert_eq!(read(&mut node), "5");
}
