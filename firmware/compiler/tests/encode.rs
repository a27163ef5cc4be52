//! The encoder against LLVM's assembler, at the borders of every field. Without `llvm-mc` that comparison says that it did not run.
#![expect(clippy::unwrap_used, reason = "a test")]
use std::io::Write;
use std::process::{Command, Stdio};
use wasmote_compiler::encode::{self, Access, Arith, Code, Cond, Op, Shift, Unary};

const REGS: [u8; 7] = [0, 3, 7, 8, 10, 12, 14];
const FLOATS: [u8; 5] = [0, 1, 15, 16, 31];

fn register(reg: u8) -> String {
    match reg {
        13 => "sp".into(),
        14 => "lr".into(),
        15 => "pc".into(),
        reg => format!("r{reg}"),
    }
}

/// Instructions, and how they are written.
fn cases() -> Vec<(String, Code)> {
    let mut all = Vec::new();
    let r = register;
    for a in REGS {
        for b in REGS {
            all.push((format!("mov {}, {}", r(a), r(b)), encode::mov(a, b)));
            all.push((format!("cmp {}, {}", r(a), r(b)), encode::cmp(a, b)));
            all.push((format!("clz {}, {}", r(a), r(b)), encode::clz(a, b)));
            all.push((format!("rbit {}, {}", r(a), r(b)), encode::rbit(a, b)));
            all.push((format!("add {}, {}", r(a), r(b)), encode::add_short(a, b)));
            for (byte, name) in [(true, "sxtb"), (false, "sxth")] {
                let code = encode::extend_signed(byte, a, b);
                all.push((format!("{name} {}, {}", r(a), r(b)), code));
            }
            for offset in [0, 1, 2, 4, 31, 62, 124, 128, 1020, 4095] {
                for (access, name) in [
                    (Access::Ldr, "ldr"),
                    (Access::Str, "str"),
                    (Access::Ldrb, "ldrb"),
                    (Access::Strb, "strb"),
                    (Access::Ldrh, "ldrh"),
                    (Access::Strh, "strh"),
                    (Access::Ldrsb, "ldrsb"),
                    (Access::Ldrsh, "ldrsh"),
                ] {
                    let code = encode::access_imm(access, a, b, offset);
                    all.push((format!("{name} {}, [{}, #{offset}]", r(a), r(b)), code));
                }
            }
            for amount in [1, 2, 16, 31] {
                for (shift, name) in [
                    (Shift::Lsl, "lsl"),
                    (Shift::Lsr, "lsr"),
                    (Shift::Asr, "asr"),
                    (Shift::Ror, "ror"),
                ] {
                    let code = encode::shift_imm(shift, a, b, amount);
                    all.push((format!("{name}.w {}, {}, #{amount}", r(a), r(b)), code));
                }
            }
            for imm in [0, 1, 255, 256, 2047, 2048, 4095] {
                let code = encode::addw(false, a, b, imm);
                all.push((format!("addw {}, {}, #{imm}", r(a), r(b)), code));
                let code = encode::addw(true, a, b, imm);
                all.push((format!("subw {}, {}, #{imm}", r(a), r(b)), code));
            }
            for c in REGS {
                let three = format!("{}, {}, {}", r(a), r(b), r(c));
                all.push((format!("mul {three}"), encode::mul(a, b, c)));
                all.push((format!("sdiv {three}"), encode::div(true, a, b, c)));
                all.push((format!("udiv {three}"), encode::div(false, a, b, c)));
                all.push((format!("mla {three}, r5"), encode::mla(false, a, b, c, 5)));
                all.push((format!("mls {three}, r5"), encode::mla(true, a, b, c, 5)));
                if a != 5 {
                    let code = encode::umull(a, 5, b, c);
                    all.push((format!("umull {}, r5, {}, {}", r(a), r(b), r(c)), code));
                }
                for (op, name) in [
                    (Op::And, "and"),
                    (Op::Bic, "bic"),
                    (Op::Orr, "orr"),
                    (Op::Eor, "eor"),
                    (Op::Add, "add"),
                    (Op::Adc, "adc"),
                    (Op::Sbc, "sbc"),
                    (Op::Sub, "sub"),
                ] {
                    for (flags, s) in [(false, ""), (true, "s")] {
                        let code = encode::op_reg(op, flags, a, b, c, Shift::Lsr, 17);
                        all.push((format!("{name}{s}.w {three}, lsr #17"), code));
                    }
                }
                for (shift, name) in [
                    (Shift::Lsl, "lsl"),
                    (Shift::Lsr, "lsr"),
                    (Shift::Asr, "asr"),
                    (Shift::Ror, "ror"),
                ] {
                    all.push((
                        format!("{name}.w {three}"),
                        encode::shift_reg(shift, a, b, c),
                    ));
                }
                for (access, name) in [
                    (Access::Ldr, "ldr"),
                    (Access::Str, "str"),
                    (Access::Ldrsb, "ldrsb"),
                    (Access::Strh, "strh"),
                ] {
                    let code = encode::access_reg(access, a, b, c);
                    all.push((format!("{name} {}, [{}, {}]", r(a), r(b), r(c)), code));
                }
            }
        }
        for imm in [0, 1, 255, 256, 0xf000, 0xffff] {
            all.push((format!("movw {}, #{imm}", r(a)), encode::movw(a, imm)));
            all.push((format!("movt {}, #{imm}", r(a)), encode::movt(a, imm)));
        }
        for imm in immediates() {
            let bits = encode::immediate(imm).unwrap();
            for (op, name) in [(Op::And, "and"), (Op::Orr, "orr"), (Op::Eor, "eor")] {
                let code = encode::op_imm(op, false, a, 5, bits);
                all.push((format!("{name}.w {}, r5, #{imm:#x}", r(a)), code));
            }
            let code = encode::op_imm(Op::Sub, true, a, 5, bits);
            all.push((format!("subs.w {}, r5, #{imm:#x}", r(a)), code));
        }
        for s in FLOATS {
            all.push((format!("vmov s{s}, {}", r(a)), encode::vmov_to(s, a)));
            all.push((format!("vmov {}, s{s}", r(a)), encode::vmov_from(a, s)));
            for offset in [0, 4, 1020] {
                let code = encode::vaccess(true, s, a, offset);
                all.push((format!("vldr s{s}, [{}, #{offset}]", r(a)), code));
                let code = encode::vaccess(false, s, a, offset);
                all.push((format!("vstr s{s}, [{}, #{offset}]", r(a)), code));
            }
        }
    }
    for a in FLOATS {
        for b in FLOATS {
            for (op, name) in [
                (Unary::Mov, "vmov.f32"),
                (Unary::Abs, "vabs.f32"),
                (Unary::Neg, "vneg.f32"),
                (Unary::Sqrt, "vsqrt.f32"),
                (Unary::Cmp, "vcmp.f32"),
                (Unary::ToSigned, "vcvt.s32.f32"),
                (Unary::ToUnsigned, "vcvt.u32.f32"),
                (Unary::FromSigned, "vcvt.f32.s32"),
                (Unary::FromUnsigned, "vcvt.f32.u32"),
            ] {
                all.push((format!("{name} s{a}, s{b}"), encode::vunary(op, a, b)));
            }
            for c in FLOATS {
                for (op, name) in [
                    (Arith::Add, "vadd"),
                    (Arith::Sub, "vsub"),
                    (Arith::Mul, "vmul"),
                    (Arith::Div, "vdiv"),
                ] {
                    let code = encode::varith(op, a, b, c);
                    all.push((format!("{name}.f32 s{a}, s{b}, s{c}"), code));
                }
            }
        }
        for imm in 0..=255_u8 {
            all.push((
                format!("vmov.f32 s{a}, #{:e}", expanded(imm)),
                encode::vmov_imm(a, imm),
            ));
        }
    }
    all.push(("vmrs APSR_nzcv, fpscr".into(), encode::vmrs()));
    all.push((
        "stmdb r2!, {r7, r12, lr}".into(),
        encode::several(false, 2, 1 << 7 | 1 << 12 | 1 << 14),
    ));
    all.push((
        "ldmdb r2, {r7, r12, pc}".into(),
        encode::several(true, 2, 1 << 7 | 1 << 12 | 1 << 15),
    ));
    all.push(("bx lr".into(), encode::bx(14)));
    all.push(("blx r12".into(), encode::blx(12)));
    all.push(("tbh [pc, r3, lsl #1]".into(), encode::tbh(3)));
    for (name, cond) in [("eq", Cond::Eq), ("hi", Cond::Hi), ("le", Cond::Le)] {
        for distance in [-1_048_572, -254, -4, 4, 260, 4096, 1_048_578] {
            let code = encode::branch(distance, Some(cond), true).unwrap();
            all.push((format!("b{name}.w #{}", distance - 4), code));
        }
        for distance in [-252, 0, 4, 258] {
            let code = encode::branch(distance, Some(cond), false).unwrap();
            all.push((format!("b{name} #{}", distance - 4), code));
        }
    }
    for distance in [-16_777_212, -8_388_608, -2, 4, 4_194_308, 16_777_218] {
        let code = encode::branch(distance, None, true).unwrap();
        all.push((format!("b.w #{}", distance - 4), code));
        let code = encode::call(distance).unwrap();
        all.push((format!("bl #{}", distance - 4), code));
    }
    all
}

/// Numbers that an instruction can hold, from every form.
fn immediates() -> Vec<u32> {
    let mut all = vec![
        0,
        1,
        0x7f,
        0x80,
        0xff,
        0x00ff_00ff,
        0xab00_ab00,
        0xcdcd_cdcd,
    ];
    for rotation in 8..32 {
        all.push(0x80_u32.rotate_right(rotation));
        all.push(0xff_u32.rotate_right(rotation));
    }
    all.sort_unstable();
    all.dedup();
    all
}

/// The float of 8 bits (ARM DDI 0403, A6.4.1).
fn expanded(imm: u8) -> f32 {
    let imm = u32::from(imm);
    let exponent = if imm >> 6 & 1 == 1 { 0x1f } else { 0x20 };
    f32::from_bits((imm >> 7) << 31 | exponent << 25 | (imm & 0x3f) << 19)
}

#[test]
fn every_form_is_what_llvm_makes_of_it() {
    let Ok(mut child) = Command::new("llvm-mc")
        .args(["--triple=thumbv7em-none-eabihf", "--mcpu=cortex-m4"])
        .args(["--show-encoding"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
    else {
        // The set-up installs it; where it cannot, nothing is compared.
        eprintln!("skipped: no llvm-mc (Debian: llvm)");
        return;
    };
    let cases = cases();
    let mut text = String::from(".syntax unified\n");
    for (line, _) in &cases {
        text.push_str(line);
        text.push('\n');
    }
    let mut input = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let shown = String::from_utf8(output.stdout).unwrap();
    let encodings: Vec<Vec<u8>> = shown
        .lines()
        .filter_map(|line| line.split_once("encoding: ["))
        .map(|(_, bytes)| {
            let bytes = bytes.trim_end_matches(']').split(',');
            bytes
                .map(|b| u8::from_str_radix(b.trim_start_matches("0x"), 16).unwrap())
                .collect()
        })
        .collect();
    assert_eq!(encodings.len(), cases.len());
    for ((line, code), expected) in cases.iter().zip(encodings) {
        let mut bytes = Vec::new();
        if code.wide {
            bytes.extend(((code.bits >> 16) as u16).to_le_bytes());
        }
        bytes.extend((code.bits as u16).to_le_bytes());
        assert_eq!(bytes, expected, "{line}");
    }
    assert!(cases.len() > 10_000);
}

#[test]
fn numbers_are_held_exactly_where_the_architecture_holds_them() {
    let forms = immediates();
    for value in 0..0x1_0000_u32 {
        // A byte; or a byte with its upper bit set, rotated right by 8 to 31.
        let rotated = (8..32).any(|r| (128..256).contains(&value.rotate_left(r)));
        let fits = value < 256 || rotated;
        assert_eq!(encode::immediate(value).is_some(), fits, "{value:#x}");
    }
    for value in forms {
        assert!(encode::immediate(value).is_some(), "{value:#x}");
    }
    for imm in 0..=255 {
        assert_eq!(encode::float_immediate(expanded(imm).to_bits()), Some(imm));
    }
    for float in [0.0_f32, -0.0, 0.1, 32.0, 0.0625, f32::NAN, f32::INFINITY] {
        assert_eq!(encode::float_immediate(float.to_bits()), None, "{float}");
    }
}
