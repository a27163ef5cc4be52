//! Runs a function without privileges, where the chip's MPU (ARM DDI 0403, B3.5) lets it read, write and execute what it needs and nothing
//! else; and ends it where it reaches for anything else, or does not come to an end.
use core::arch::global_asm;

global_asm!(
    r#"
        .syntax unified
        .fpu fpv4-sp-d16
        .section .text.machine_guarded, "ax"
        .global machine_guarded, machine_escape
        .global MemoryManagement, BusFault, UsageFault, SysTick, SVCall

@ r0: the function, r1: its argument. 0 where it came back, and otherwise what ended it.
        .type machine_guarded, %function
        .thumb_func
machine_guarded:
        push    {{r4-r11, lr}}
        vpush   {{s16-s31}}
        sub     sp, #4
        movw    r2, #:lower16:machine_saved
        movt    r2, #:upper16:machine_saved
        str     sp, [r2]
        mov     r3, r0
        mov     r0, r1
        mrs     r1, control
        orr     r1, #1
        msr     control, r1
        isb
        blx     r3
        svc     0
        movs    r0, #0
1:      movw    r2, #:lower16:machine_saved
        movt    r2, #:upper16:machine_saved
        movs    r3, #0
        str     r3, [r2]
        add     sp, #4
        vpop    {{s16-s31}}
        pop     {{r4-r11, pc}}
machine_escape:
        movw    r2, #:lower16:machine_saved
        movt    r2, #:upper16:machine_saved
        ldr     r0, [r2, #4]
        ldr     sp, [r2]
        b       1b

        .type SVCall, %function
        .thumb_func
SVCall: mrs     r0, control
        bic     r0, #1
        msr     control, r0
        isb
        bx      lr

        .type MemoryManagement, %function
        .thumb_func
MemoryManagement:
        movs    r1, #1
        b       2f
        .type BusFault, %function
        .thumb_func
BusFault:
        movs    r1, #2
        b       2f
        .type UsageFault, %function
        .thumb_func
UsageFault:
        movs    r1, #3
        b       2f
        .type SysTick, %function
        .thumb_func
SysTick:
        movs    r1, #4
@ Goes on where the function was called from, with privileges. Outside of that it stops, and the emulation with it.
2:      movw    r2, #:lower16:machine_saved
        movt    r2, #:upper16:machine_saved
        ldr     r0, [r2]
3:      cmp     r0, #0
        beq     3b
        str     r1, [r2, #4]
        movw    r0, #:lower16:machine_escape
        movt    r0, #:upper16:machine_escape
        bic     r0, #1
        str     r0, [sp, #24]
        mov     r0, #0x01000000
        str     r0, [sp, #28]
@ What was recorded of the fault is cleared (CFSR).
        movw    r2, #0xed28
        movt    r2, #0xe000
        ldr     r0, [r2]
        str     r0, [r2]
        mrs     r0, control
        bic     r0, #1
        msr     control, r0
        isb
        bx      lr

        .section .bss.machine_saved, "aw", %nobits
        .balign 4
        .global machine_saved
machine_saved:
        .space  8
"#
);

unsafe extern "C" {
    fn machine_guarded(call: extern "C" fn(*mut ()), data: *mut ()) -> u32;
}

/// What a function may do besides executing what is in flash and using its stack: read and execute one piece of memory, and read and
/// write another. Both begin at a multiple of their size, a power of two, in bytes.
pub(crate) struct Windows {
    pub(crate) code: (u32, u32),
    pub(crate) data: (u32, u32),
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It came back.
    Well,
    /// It reached for what it may not.
    Stopped,
    /// It executed what is no instruction, or what the chip has not.
    Unknown,
    /// It took more than two million instructions.
    Endless,
}

const MPU: *mut u32 = 0xe000_ed94 as *mut u32;
const SYST: *mut u32 = 0xe000_e010 as *mut u32;
const SHCSR: *mut u32 = 0xe000_ed24 as *mut u32;
const ICSR: *mut u32 = 0xe000_ed04 as *mut u32;
/// Ticks of 40 instructions after which a function is endless.
const PATIENCE: u32 = 50_000;

/// Sets a region: RASR's access permissions (B3.5.9), whether instructions may be fetched, and the eighths that are left out.
unsafe fn region(number: u32, (base, size): (u32, u32), access: u32, fetched: bool, without: u32) {
    let attributes = u32::from(!fetched) << 28
        | access << 24
        | 1 << 18
        | 1 << 17
        | without << 8
        | (size.trailing_zeros() - 1) << 1
        | 1;
    // SAFETY: registers of the MPU: RBAR with its number, and RASR.
    unsafe {
        MPU.add(2).write_volatile(base | 1 << 4 | number);
        MPU.add(3).write_volatile(attributes);
    }
}

/// Runs a function so. What it borrows is to be taken for lost where it did not come back.
pub(crate) fn guarded(windows: &Windows, mut work: impl FnMut()) -> Ended {
    extern "C" fn call<F: FnMut()>(data: *mut ()) {
        // SAFETY: the closure that is borrowed below for as long as this runs.
        unsafe { (*data.cast::<F>())() }
    }
    fn start<F: FnMut()>(work: &mut F) -> u32 {
        // SAFETY: calls it once, and comes back once.
        unsafe { machine_guarded(call::<F>, (&raw mut *work).cast()) }
    }
    const READ: u32 = 0b110;
    const WRITE: u32 = 0b011;
    // SAFETY: the only use of the MPU and of these handlers; what is privileged sees all memory as before (PRIVDEFENA).
    let ended = unsafe {
        // Flash; of the RAM the upper quarter, which has the stack and nothing else.
        region(0, (0, 1 << 22), READ, true, 0);
        region(1, (0x2000_0000, 1 << 22), WRITE, false, 0x3f);
        region(2, windows.code, READ, true, 0);
        region(3, windows.data, WRITE, false, 0);
        SHCSR.write_volatile(SHCSR.read_volatile() | 7 << 16);
        SYST.add(1).write_volatile(PATIENCE);
        SYST.add(2).write_volatile(0);
        SYST.write_volatile(7);
        MPU.write_volatile(0b101);
        core::arch::asm!("dsb", "isb");
        let ended = start(&mut work);
        MPU.write_volatile(0);
        SYST.write_volatile(5);
        ICSR.write_volatile(1 << 25);
        SYST.add(1).write_volatile(0x00ff_ffff);
        SYST.add(2).write_volatile(0);
        core::arch::asm!("dsb", "isb");
        ended
    };
    match ended {
        0 => Ended::Well,
        1 | 2 => Ended::Stopped,
        4 => Ended::Endless,
        _ => Ended::Unknown,
    }
}
