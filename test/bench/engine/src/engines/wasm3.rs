//! wasm3, its C sources compiled by build.rs, compiling all functions when it loads; and what it needs of a C library.
use super::{Engine, Job};
use alloc::alloc::{Layout, alloc, alloc_zeroed, dealloc};
use alloc::boxed::Box;
use alloc::ffi::CString;
use core::ffi::{CStr, c_char, c_double, c_int, c_uint, c_ulong, c_ulonglong, c_void};
use core::ptr::null_mut;

/// `M3Result`: null, or what went wrong.
type Outcome = *const c_char;
type Pointer = *mut c_void;

unsafe extern "C" {
    fn m3_NewEnvironment() -> Pointer;
    fn m3_NewRuntime(environment: Pointer, stack: c_uint, user: Pointer) -> Pointer;
    fn m3_ParseModule(
        environment: Pointer,
        module: *mut Pointer,
        bytes: *const u8,
        length: c_uint,
    ) -> Outcome;
    fn m3_LoadModule(runtime: Pointer, module: Pointer) -> Outcome;
    fn m3_CompileModule(module: Pointer) -> Outcome;
    fn m3_RunStart(module: Pointer) -> Outcome;
    fn m3_FindFunction(function: *mut Pointer, runtime: Pointer, name: *const c_char) -> Outcome;
    fn m3_GetRetCount(function: Pointer) -> c_uint;
    fn m3_Call(function: Pointer, count: c_uint, arguments: *const *const c_void) -> Outcome;
    fn m3_GetResults(function: Pointer, count: c_uint, results: *const *const c_void) -> Outcome;
}

fn check(outcome: Outcome) -> Result<(), &'static str> {
    if outcome.is_null() {
        return Ok(());
    }
    // SAFETY: wasm3's outcomes are constant strings.
    let text = unsafe { CStr::from_ptr(outcome) };
    Err(text.to_str().unwrap_or("an outcome that is not a text"))
}

struct Wasm3 {
    runtime: Pointer,
}

pub(super) fn load(job: Job) -> Result<Box<dyn Engine>, &'static str> {
    let length = job.module.len() as c_uint;
    // SAFETY: wasm3's interface as its header has it; the module stays where it is.
    unsafe {
        let environment = m3_NewEnvironment();
        // As much as Wasmote grants where it cannot know.
        let runtime = m3_NewRuntime(environment, 4096, null_mut());
        let mut module = null_mut();
        check(m3_ParseModule(
            environment,
            &raw mut module,
            job.module.as_ptr(),
            length,
        ))?;
        check(m3_LoadModule(runtime, module))?;
        check(m3_CompileModule(module))?;
        check(m3_RunStart(module))?;
        Ok(Box::new(Wasm3 { runtime }))
    }
}

impl Engine for Wasm3 {
    fn call(&mut self, export: &str) -> Result<Option<i32>, &'static str> {
        let name = CString::new(export).map_err(|_| "no name")?;
        let mut function = null_mut();
        let mut result = 0_i32;
        let results = [(&raw mut result).cast::<c_void>().cast_const()];
        // SAFETY: as above; there is room for the one result that is fetched.
        unsafe {
            check(m3_FindFunction(
                &raw mut function,
                self.runtime,
                name.as_ptr(),
            ))?;
            check(m3_Call(function, 0, core::ptr::null()))?;
            if m3_GetRetCount(function) == 0 {
                return Ok(None);
            }
            check(m3_GetResults(function, 1, results.as_ptr()))?;
        }
        Ok(Some(result))
    }
}

// ---- a C library --------------------------------------------------------------------------------------------------

/// Bytes before each allocation, which hold its length and keep it aligned.
const HEAD: usize = 8;

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size + HEAD, HEAD).unwrap_or(Layout::new::<u64>())
}

/// Notes the length in front.
///
/// # Safety
/// `block` is null or an allocation of `layout(size)`.
unsafe fn headed(block: *mut u8, size: usize) -> Pointer {
    if block.is_null() {
        return null_mut();
    }
    // SAFETY: the block is longer than its head, and aligned for it.
    unsafe {
        block.cast::<usize>().write(size);
        block.add(HEAD).cast()
    }
}

/// # Safety
/// As in C.
#[unsafe(no_mangle)]
unsafe extern "C" fn malloc(size: usize) -> Pointer {
    // SAFETY: the layout is not empty.
    unsafe { headed(alloc(layout(size)), size) }
}

/// # Safety
/// As in C.
#[unsafe(no_mangle)]
unsafe extern "C" fn calloc(count: usize, size: usize) -> Pointer {
    let Some(size) = count.checked_mul(size) else {
        return null_mut();
    };
    // SAFETY: the layout is not empty.
    unsafe { headed(alloc_zeroed(layout(size)), size) }
}

/// # Safety
/// As in C.
#[unsafe(no_mangle)]
unsafe extern "C" fn realloc(old: Pointer, size: usize) -> Pointer {
    // SAFETY: `old` is null or from `malloc`, `calloc` or `realloc`.
    unsafe {
        let new = malloc(size);
        if !old.is_null() && !new.is_null() {
            let before = old.cast::<u8>().sub(HEAD).cast::<usize>().read();
            new.cast::<u8>()
                .copy_from_nonoverlapping(old.cast(), before.min(size));
            free(old);
        }
        new
    }
}

/// # Safety
/// As in C.
#[unsafe(no_mangle)]
unsafe extern "C" fn free(old: Pointer) {
    if !old.is_null() {
        // SAFETY: `old` is from `malloc`, `calloc` or `realloc`.
        unsafe {
            let block = old.cast::<u8>().sub(HEAD);
            dealloc(block, layout(block.cast::<usize>().read()));
        }
    }
}

#[unsafe(no_mangle)]
extern "C" fn abort() -> ! {
    panic!("wasm3 gave up")
}

/// # Safety
/// As in C.
#[unsafe(no_mangle)]
unsafe extern "C" fn strcmp(a: *const c_char, b: *const c_char) -> c_int {
    // SAFETY: both are strings with their ends.
    unsafe { CStr::from_ptr(a).cmp(CStr::from_ptr(b)) as c_int }
}

/// Formats nothing: what wasm3 says beside an outcome is not shown here.
///
/// # Safety
/// As in C.
#[unsafe(no_mangle)]
unsafe extern "C" fn vsnprintf(
    to: *mut c_char,
    size: usize,
    _: *const c_char,
    _: *const c_void,
) -> c_int {
    if size > 0 {
        // SAFETY: there is room for the end.
        unsafe { to.write(0) };
    }
    0
}

// Arguments given as text, which nobody gives here.

#[unsafe(no_mangle)]
extern "C" fn strtoul(_: *const c_char, _: *mut *mut c_char, _: c_int) -> c_ulong {
    0
}

#[unsafe(no_mangle)]
extern "C" fn strtoull(_: *const c_char, _: *mut *mut c_char, _: c_int) -> c_ulonglong {
    0
}

#[unsafe(no_mangle)]
extern "C" fn strtod(_: *const c_char, _: *mut *mut c_char) -> c_double {
    0.0
}

// What GCC calls and Rust's own routines do not have.

#[unsafe(no_mangle)]
extern "C" fn __popcountsi2(value: c_uint) -> c_int {
    value.count_ones() as c_int
}

#[unsafe(no_mangle)]
extern "C" fn __popcountdi2(value: c_ulonglong) -> c_int {
    value.count_ones() as c_int
}
