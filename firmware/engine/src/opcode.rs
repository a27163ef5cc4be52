//! The one table of opcodes: byte, name, immediates, stack effect and fuel. The validator, the disassembly, the compiler and the
//! checks of the feature `checked` read it; the execution loops use the same names as constants. A test compares it with
//! another project's assembler, opcode by opcode, runs each, and measures its fuel (test/conformance/tests/opcodes.rs).

/// What follows an opcode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Immediates {
    /// Nothing.
    None,
    /// A block type.
    Block,
    /// A label.
    Label,
    /// A vector of labels and a default.
    Labels,
    /// One index (function, local, global, table, segment).
    Index,
    /// Two indices.
    Indices,
    /// A vector of value types.
    Types,
    /// Alignment (at most this power of two) and offset.
    Memory(u8),
    /// One zero byte: the memory.
    Zero,
    /// A data segment and a zero byte.
    SegmentZero,
    /// Two zero bytes.
    ZeroZero,
    /// A signed 32-bit number.
    I32,
    /// A signed 64-bit number.
    I64,
    /// Four bytes.
    F32,
    /// Eight bytes.
    F64,
    /// A reference type.
    RefType,
}

/// What an instruction costs besides a unit of fuel for each byte of it, which all of them cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fuel {
    /// Nothing.
    Length,
    /// A unit for each value that it moves down the stack when it is taken, if there are several. A `return`, and an `end` of a
    /// function, moves its results.
    Moved,
    /// A unit for each local of the callee that is set to zero.
    Locals,
    /// A unit for each byte or entry that it writes: the number that its last operand says.
    Written,
    /// The same, and a unit for each element of the segment before the first that it copies.
    WrittenSkipped,
    /// A unit for each byte or entry that it adds.
    Grown,
}

/// What the validator goes by. Names and effects as text are in a table apart, which a board that shows none has not in
/// its flash.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// What follows the opcode.
    pub immediates: Immediates,
    /// What it takes and gives.
    pub effect: Effect,
}

/// An opcode's stack effect in three bits a type (0x80 less its byte, 0 for none): the last operand in the lowest, the result
/// in the fourth. Nothing at all where the validator has a rule of its own.
#[derive(Clone, Copy, Debug)]
pub struct Effect(u16);

impl Effect {
    /// From "operands:results" in the letters i I f F.
    #[expect(
        clippy::panic,
        reason = "the table is made when the engine is compiled"
    )]
    const fn new(mut text: &[u8]) -> Self {
        let mut packed = 0;
        let mut result = false;
        while let [letter, rest @ ..] = text {
            text = rest;
            let ty = match letter {
                b':' => {
                    result = true;
                    continue;
                }
                b'i' => 1,
                b'I' => 2,
                b'f' => 3,
                b'F' => 4,
                _ => panic!("a letter that stands for no type"),
            };
            if result {
                packed |= ty << 9;
            } else {
                packed = packed << 3 | ty;
            }
        }
        Self(packed)
    }

    /// The bytes of the operands' types, the last operand first.
    pub fn operands(self) -> impl Iterator<Item = u8> {
        [0, 3, 6].into_iter().filter_map(move |at| self.at(at))
    }

    /// The byte of the result's type.
    pub fn result(self) -> Option<u8> {
        self.at(9)
    }

    fn at(self, shift: u8) -> Option<u8> {
        match self.0 >> shift & 7 {
            0 => None,
            ty => Some(0x80 - ty as u8),
        }
    }
}

/// The rule of the opcode with this first byte and, where that is 0xfc, this number after it.
pub fn rule(byte: u8, number: u32) -> Option<Rule> {
    if byte == op::PREFIX {
        u8::try_from(number).ok().and_then(prefixed)
    } else {
        plain(byte)
    }
}

/// An opcode as it is shown, with its rule.
#[derive(Clone, Copy, Debug)]
pub struct Opcode {
    /// Its name in the text format.
    pub name: &'static str,
    /// What follows it.
    pub immediates: Immediates,
    /// What it takes and gives: "operands:results" in the letters i I f F (i32 i64 f32 f64), or "" where the validator
    /// has a rule of its own.
    pub effect: &'static str,
    /// What it costs besides its length.
    pub fuel: Fuel,
}

impl Opcode {
    /// The opcode with this first byte and, where that is 0xfc, this number after it.
    pub fn find(byte: u8, number: u32) -> Option<Self> {
        let Rule { immediates, .. } = rule(byte, number)?;
        let (name, effect, fuel) = if byte == op::PREFIX {
            more::text(number as u8)
        } else {
            op::text(byte)
        };
        Some(Self {
            name,
            immediates,
            effect,
            fuel,
        })
    }
}

/// What a row says of fuel: nothing, where its length is all.
macro_rules! fuel {
    () => {
        Fuel::Length
    };
    ($fuel:ident) => {
        Fuel::$fuel
    };
}

macro_rules! opcodes {
    ($table:ident, $lookup:ident, $count:literal; $($byte:literal $name:ident $text:literal $immediates:expr, $effect:literal $(, $fuel:ident)?;)*) => {
        /// The opcodes as constants.
        pub mod $table {
            use super::Fuel;
            $(#[doc = concat!("`", $text, "`")] pub const $name: u8 = $byte;)*
            /// Name, effect and fuel of the opcode with this number.
            pub(crate) fn text(byte: u8) -> (&'static str, &'static str, Fuel) {
                match byte {
                    $($byte => ($text, $effect, fuel!($($fuel)?)),)*
                    _ => ("", "", Fuel::Length),
                }
            }
        }
        /// The rule of the opcode with this number.
        pub(crate) fn $lookup(byte: u8) -> Option<Rule> {
            #[allow(unused_imports)]
            use Immediates::*;
            static TABLE: [Option<Rule>; $count] = {
                let mut table = [Option::None; $count];
                $(table[$byte] = Option::Some(Rule {
                    immediates: $immediates,
                    effect: Effect::new($effect.as_bytes()),
                });)*
                table
            };
            TABLE.get(byte as usize).copied().flatten()
        }
    };
}

/// Hands the rows of all opcodes of one byte to a macro, behind `first`.
macro_rules! each_opcode {
    ($then:ident! { $($first:tt)* }) => { $then! { $($first)*
        0x00 UNREACHABLE "unreachable" None, "";
        0x01 NOP "nop" None, ":";
        0x02 BLOCK "block" Block, "";
        0x03 LOOP "loop" Block, "";
        0x04 IF "if" Block, "";
        0x05 ELSE "else" None, "";
        0x0b END "end" None, "", Moved;
        0x0c BR "br" Label, "", Moved;
        0x0d BR_IF "br_if" Label, "", Moved;
        0x0e BR_TABLE "br_table" Labels, "", Moved;
        0x0f RETURN "return" None, "", Moved;
        0x10 CALL "call" Index, "", Locals;
        0x11 CALL_INDIRECT "call_indirect" Indices, "", Locals;
        0x1a DROP "drop" None, "";
        0x1b SELECT "select" None, "";
        0x1c SELECT_T "select" Types, "";
        0x20 LOCAL_GET "local.get" Index, "";
        0x21 LOCAL_SET "local.set" Index, "";
        0x22 LOCAL_TEE "local.tee" Index, "";
        0x23 GLOBAL_GET "global.get" Index, "";
        0x24 GLOBAL_SET "global.set" Index, "";
        0x25 TABLE_GET "table.get" Index, "";
        0x26 TABLE_SET "table.set" Index, "";
        0x28 I32_LOAD "i32.load" Memory(2), "i:i";
        0x29 I64_LOAD "i64.load" Memory(3), "i:I";
        0x2a F32_LOAD "f32.load" Memory(2), "i:f";
        0x2b F64_LOAD "f64.load" Memory(3), "i:F";
        0x2c I32_LOAD8_S "i32.load8_s" Memory(0), "i:i";
        0x2d I32_LOAD8_U "i32.load8_u" Memory(0), "i:i";
        0x2e I32_LOAD16_S "i32.load16_s" Memory(1), "i:i";
        0x2f I32_LOAD16_U "i32.load16_u" Memory(1), "i:i";
        0x30 I64_LOAD8_S "i64.load8_s" Memory(0), "i:I";
        0x31 I64_LOAD8_U "i64.load8_u" Memory(0), "i:I";
        0x32 I64_LOAD16_S "i64.load16_s" Memory(1), "i:I";
        0x33 I64_LOAD16_U "i64.load16_u" Memory(1), "i:I";
        0x34 I64_LOAD32_S "i64.load32_s" Memory(2), "i:I";
        0x35 I64_LOAD32_U "i64.load32_u" Memory(2), "i:I";
        0x36 I32_STORE "i32.store" Memory(2), "ii:";
        0x37 I64_STORE "i64.store" Memory(3), "iI:";
        0x38 F32_STORE "f32.store" Memory(2), "if:";
        0x39 F64_STORE "f64.store" Memory(3), "iF:";
        0x3a I32_STORE8 "i32.store8" Memory(0), "ii:";
        0x3b I32_STORE16 "i32.store16" Memory(1), "ii:";
        0x3c I64_STORE8 "i64.store8" Memory(0), "iI:";
        0x3d I64_STORE16 "i64.store16" Memory(1), "iI:";
        0x3e I64_STORE32 "i64.store32" Memory(2), "iI:";
        0x3f MEMORY_SIZE "memory.size" Zero, ":i";
        0x40 MEMORY_GROW "memory.grow" Zero, "i:i", Grown;
        0x41 I32_CONST "i32.const" I32, ":i";
        0x42 I64_CONST "i64.const" I64, ":I";
        0x43 F32_CONST "f32.const" F32, ":f";
        0x44 F64_CONST "f64.const" F64, ":F";
        0x45 I32_EQZ "i32.eqz" None, "i:i";
        0x46 I32_EQ "i32.eq" None, "ii:i";
        0x47 I32_NE "i32.ne" None, "ii:i";
        0x48 I32_LT_S "i32.lt_s" None, "ii:i";
        0x49 I32_LT_U "i32.lt_u" None, "ii:i";
        0x4a I32_GT_S "i32.gt_s" None, "ii:i";
        0x4b I32_GT_U "i32.gt_u" None, "ii:i";
        0x4c I32_LE_S "i32.le_s" None, "ii:i";
        0x4d I32_LE_U "i32.le_u" None, "ii:i";
        0x4e I32_GE_S "i32.ge_s" None, "ii:i";
        0x4f I32_GE_U "i32.ge_u" None, "ii:i";
        0x50 I64_EQZ "i64.eqz" None, "I:i";
        0x51 I64_EQ "i64.eq" None, "II:i";
        0x52 I64_NE "i64.ne" None, "II:i";
        0x53 I64_LT_S "i64.lt_s" None, "II:i";
        0x54 I64_LT_U "i64.lt_u" None, "II:i";
        0x55 I64_GT_S "i64.gt_s" None, "II:i";
        0x56 I64_GT_U "i64.gt_u" None, "II:i";
        0x57 I64_LE_S "i64.le_s" None, "II:i";
        0x58 I64_LE_U "i64.le_u" None, "II:i";
        0x59 I64_GE_S "i64.ge_s" None, "II:i";
        0x5a I64_GE_U "i64.ge_u" None, "II:i";
        0x5b F32_EQ "f32.eq" None, "ff:i";
        0x5c F32_NE "f32.ne" None, "ff:i";
        0x5d F32_LT "f32.lt" None, "ff:i";
        0x5e F32_GT "f32.gt" None, "ff:i";
        0x5f F32_LE "f32.le" None, "ff:i";
        0x60 F32_GE "f32.ge" None, "ff:i";
        0x61 F64_EQ "f64.eq" None, "FF:i";
        0x62 F64_NE "f64.ne" None, "FF:i";
        0x63 F64_LT "f64.lt" None, "FF:i";
        0x64 F64_GT "f64.gt" None, "FF:i";
        0x65 F64_LE "f64.le" None, "FF:i";
        0x66 F64_GE "f64.ge" None, "FF:i";
        0x67 I32_CLZ "i32.clz" None, "i:i";
        0x68 I32_CTZ "i32.ctz" None, "i:i";
        0x69 I32_POPCNT "i32.popcnt" None, "i:i";
        0x6a I32_ADD "i32.add" None, "ii:i";
        0x6b I32_SUB "i32.sub" None, "ii:i";
        0x6c I32_MUL "i32.mul" None, "ii:i";
        0x6d I32_DIV_S "i32.div_s" None, "ii:i";
        0x6e I32_DIV_U "i32.div_u" None, "ii:i";
        0x6f I32_REM_S "i32.rem_s" None, "ii:i";
        0x70 I32_REM_U "i32.rem_u" None, "ii:i";
        0x71 I32_AND "i32.and" None, "ii:i";
        0x72 I32_OR "i32.or" None, "ii:i";
        0x73 I32_XOR "i32.xor" None, "ii:i";
        0x74 I32_SHL "i32.shl" None, "ii:i";
        0x75 I32_SHR_S "i32.shr_s" None, "ii:i";
        0x76 I32_SHR_U "i32.shr_u" None, "ii:i";
        0x77 I32_ROTL "i32.rotl" None, "ii:i";
        0x78 I32_ROTR "i32.rotr" None, "ii:i";
        0x79 I64_CLZ "i64.clz" None, "I:I";
        0x7a I64_CTZ "i64.ctz" None, "I:I";
        0x7b I64_POPCNT "i64.popcnt" None, "I:I";
        0x7c I64_ADD "i64.add" None, "II:I";
        0x7d I64_SUB "i64.sub" None, "II:I";
        0x7e I64_MUL "i64.mul" None, "II:I";
        0x7f I64_DIV_S "i64.div_s" None, "II:I";
        0x80 I64_DIV_U "i64.div_u" None, "II:I";
        0x81 I64_REM_S "i64.rem_s" None, "II:I";
        0x82 I64_REM_U "i64.rem_u" None, "II:I";
        0x83 I64_AND "i64.and" None, "II:I";
        0x84 I64_OR "i64.or" None, "II:I";
        0x85 I64_XOR "i64.xor" None, "II:I";
        0x86 I64_SHL "i64.shl" None, "II:I";
        0x87 I64_SHR_S "i64.shr_s" None, "II:I";
        0x88 I64_SHR_U "i64.shr_u" None, "II:I";
        0x89 I64_ROTL "i64.rotl" None, "II:I";
        0x8a I64_ROTR "i64.rotr" None, "II:I";
        0x8b F32_ABS "f32.abs" None, "f:f";
        0x8c F32_NEG "f32.neg" None, "f:f";
        0x8d F32_CEIL "f32.ceil" None, "f:f";
        0x8e F32_FLOOR "f32.floor" None, "f:f";
        0x8f F32_TRUNC "f32.trunc" None, "f:f";
        0x90 F32_NEAREST "f32.nearest" None, "f:f";
        0x91 F32_SQRT "f32.sqrt" None, "f:f";
        0x92 F32_ADD "f32.add" None, "ff:f";
        0x93 F32_SUB "f32.sub" None, "ff:f";
        0x94 F32_MUL "f32.mul" None, "ff:f";
        0x95 F32_DIV "f32.div" None, "ff:f";
        0x96 F32_MIN "f32.min" None, "ff:f";
        0x97 F32_MAX "f32.max" None, "ff:f";
        0x98 F32_COPYSIGN "f32.copysign" None, "ff:f";
        0x99 F64_ABS "f64.abs" None, "F:F";
        0x9a F64_NEG "f64.neg" None, "F:F";
        0x9b F64_CEIL "f64.ceil" None, "F:F";
        0x9c F64_FLOOR "f64.floor" None, "F:F";
        0x9d F64_TRUNC "f64.trunc" None, "F:F";
        0x9e F64_NEAREST "f64.nearest" None, "F:F";
        0x9f F64_SQRT "f64.sqrt" None, "F:F";
        0xa0 F64_ADD "f64.add" None, "FF:F";
        0xa1 F64_SUB "f64.sub" None, "FF:F";
        0xa2 F64_MUL "f64.mul" None, "FF:F";
        0xa3 F64_DIV "f64.div" None, "FF:F";
        0xa4 F64_MIN "f64.min" None, "FF:F";
        0xa5 F64_MAX "f64.max" None, "FF:F";
        0xa6 F64_COPYSIGN "f64.copysign" None, "FF:F";
        0xa7 I32_WRAP_I64 "i32.wrap_i64" None, "I:i";
        0xa8 I32_TRUNC_F32_S "i32.trunc_f32_s" None, "f:i";
        0xa9 I32_TRUNC_F32_U "i32.trunc_f32_u" None, "f:i";
        0xaa I32_TRUNC_F64_S "i32.trunc_f64_s" None, "F:i";
        0xab I32_TRUNC_F64_U "i32.trunc_f64_u" None, "F:i";
        0xac I64_EXTEND_I32_S "i64.extend_i32_s" None, "i:I";
        0xad I64_EXTEND_I32_U "i64.extend_i32_u" None, "i:I";
        0xae I64_TRUNC_F32_S "i64.trunc_f32_s" None, "f:I";
        0xaf I64_TRUNC_F32_U "i64.trunc_f32_u" None, "f:I";
        0xb0 I64_TRUNC_F64_S "i64.trunc_f64_s" None, "F:I";
        0xb1 I64_TRUNC_F64_U "i64.trunc_f64_u" None, "F:I";
        0xb2 F32_CONVERT_I32_S "f32.convert_i32_s" None, "i:f";
        0xb3 F32_CONVERT_I32_U "f32.convert_i32_u" None, "i:f";
        0xb4 F32_CONVERT_I64_S "f32.convert_i64_s" None, "I:f";
        0xb5 F32_CONVERT_I64_U "f32.convert_i64_u" None, "I:f";
        0xb6 F32_DEMOTE_F64 "f32.demote_f64" None, "F:f";
        0xb7 F64_CONVERT_I32_S "f64.convert_i32_s" None, "i:F";
        0xb8 F64_CONVERT_I32_U "f64.convert_i32_u" None, "i:F";
        0xb9 F64_CONVERT_I64_S "f64.convert_i64_s" None, "I:F";
        0xba F64_CONVERT_I64_U "f64.convert_i64_u" None, "I:F";
        0xbb F64_PROMOTE_F32 "f64.promote_f32" None, "f:F";
        0xbc I32_REINTERPRET_F32 "i32.reinterpret_f32" None, "f:i";
        0xbd I64_REINTERPRET_F64 "i64.reinterpret_f64" None, "F:I";
        0xbe F32_REINTERPRET_I32 "f32.reinterpret_i32" None, "i:f";
        0xbf F64_REINTERPRET_I64 "f64.reinterpret_i64" None, "I:F";
        0xc0 I32_EXTEND8_S "i32.extend8_s" None, "i:i";
        0xc1 I32_EXTEND16_S "i32.extend16_s" None, "i:i";
        0xc2 I64_EXTEND8_S "i64.extend8_s" None, "I:I";
        0xc3 I64_EXTEND16_S "i64.extend16_s" None, "I:I";
        0xc4 I64_EXTEND32_S "i64.extend32_s" None, "I:I";
        0xd0 REF_NULL "ref.null" RefType, "";
        0xd1 REF_IS_NULL "ref.is_null" None, "";
        0xd2 REF_FUNC "ref.func" Index, "";
        0xfc PREFIX "prefix" None, "";
    } };
}
#[cfg(fast_loop)]
pub(crate) use each_opcode;

each_opcode! { opcodes! { op, plain, 0xfd; } }
opcodes! { more, prefixed, 18;
    0 I32_TRUNC_SAT_F32_S "i32.trunc_sat_f32_s" None, "f:i";
    1 I32_TRUNC_SAT_F32_U "i32.trunc_sat_f32_u" None, "f:i";
    2 I32_TRUNC_SAT_F64_S "i32.trunc_sat_f64_s" None, "F:i";
    3 I32_TRUNC_SAT_F64_U "i32.trunc_sat_f64_u" None, "F:i";
    4 I64_TRUNC_SAT_F32_S "i64.trunc_sat_f32_s" None, "f:I";
    5 I64_TRUNC_SAT_F32_U "i64.trunc_sat_f32_u" None, "f:I";
    6 I64_TRUNC_SAT_F64_S "i64.trunc_sat_f64_s" None, "F:I";
    7 I64_TRUNC_SAT_F64_U "i64.trunc_sat_f64_u" None, "F:I";
    8 MEMORY_INIT "memory.init" SegmentZero, "iii:", Written;
    9 DATA_DROP "data.drop" Index, ":";
    10 MEMORY_COPY "memory.copy" ZeroZero, "iii:", Written;
    11 MEMORY_FILL "memory.fill" Zero, "iii:", Written;
    12 TABLE_INIT "table.init" Indices, "iii:", WrittenSkipped;
    13 ELEM_DROP "elem.drop" Index, ":";
    14 TABLE_COPY "table.copy" Indices, "iii:", Written;
    15 TABLE_GROW "table.grow" Index, "", Grown;
    16 TABLE_SIZE "table.size" Index, ":i";
    17 TABLE_FILL "table.fill" Index, "", Written;
}
