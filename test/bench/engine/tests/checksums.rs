//! The kernels in Rust give, on this computer, the checksums of test/golden/kernels.txt; test/engine/kernels.test.ts compares the
//! modules with the same list.
use wasmote_bench_engine::{double, single};

#[test]
fn every_kernel_gives_its_golden_checksum() {
    let golden = include_str!("../../../golden/kernels.txt");
    let mut lines = golden
        .lines()
        .filter(|line| !line.starts_with('#'))
        .peekable();
    assert!(lines.peek().is_some());
    let mut seen = 0;
    for line in lines {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, real, checksum, ..] = words[..] else {
            panic!("{line}: not a kernel, a kind of number and a checksum");
        };
        let found = match real {
            "f32" => run(name, &single::kernels::KERNELS, |kernel| {
                kernel.setup();
                kernel.run();
                kernel.checksum()
            }),
            _ => run(name, &double::kernels::KERNELS, |kernel| {
                kernel.setup();
                kernel.run();
                kernel.checksum()
            }),
        };
        assert_eq!(found.to_string(), checksum, "{name} with {real}");
        seen += usize::from(real == "f32");
    }
    assert_eq!(seen, single::kernels::KERNELS.len());
}

type Named<K> = (&'static str, fn() -> Box<K>);

fn run<K: ?Sized>(name: &str, kernels: &[Named<K>], work: impl Fn(&mut K) -> i32) -> i32 {
    let found = kernels.iter().find(|(known, _)| *known == name);
    let (_, make) = found.unwrap_or_else(|| panic!("{name}: no such kernel in Rust"));
    work(&mut make())
}
