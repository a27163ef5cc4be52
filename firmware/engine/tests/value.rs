//! Value types, values and traps as an embedder sees them.

use wasmote_engine::{Place, Trap, TrapKind, ValType, Value};

const TYPES: [ValType; 6] = [
    ValType::I32,
    ValType::I64,
    ValType::F32,
    ValType::F64,
    ValType::FuncRef,
    ValType::ExternRef,
];

#[test]
fn only_the_bytes_of_the_specification_name_a_type() {
    for byte in 0..=u8::MAX {
        let named = TYPES.into_iter().find(|ty| *ty as u8 == byte);
        assert_eq!(ValType::from_byte(byte), named, "byte {byte:#04x}");
    }
}

#[test]
fn a_value_knows_its_type_and_width() {
    let values = [
        (Value::I32(-1), false, false),
        (Value::I64(-1), true, false),
        (Value::F32(0.5), false, false),
        (Value::F64(0.5), true, false),
        (Value::FuncRef(None), false, true),
        (Value::ExternRef(Some(7)), false, true),
    ];
    for ((value, wide, reference), ty) in values.into_iter().zip(TYPES) {
        assert_eq!(value.ty(), ty);
        assert_eq!((ty.is_wide(), ty.is_reference()), (wide, reference));
    }
}

#[test]
fn a_trap_says_why_and_where_and_stays_small() {
    let place = Place {
        function: 3,
        offset: 120,
    };
    let trap = Trap {
        kind: TrapKind::DivideByZero,
        place,
    };
    assert_eq!(
        trap.to_string(),
        "integer divide by zero in function 3 at byte 120"
    );
    assert!(size_of::<Trap>() <= 12);
}
