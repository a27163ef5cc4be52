//! However fuel is cut into slices, a run comes to the same: the same host calls, results, traps and places, the same memory, and
//! the same fuel in all. Random modules with imports, floats and references; and nothing around their regions changes.

use crate::common::{Plan, config, exercise, load, random, random_module, setting, with_stack};
use wasm_smith::Config;

/// Fuel after which a run is given up; where, depends on the slices, so that nothing is compared then.
const MOST: u64 = 200_000;

#[test]
fn any_slices_of_fuel_come_to_the_same() {
    with_stack(compare);
}

fn compare() {
    let (mut compared, mut traps, mut hosts) = (0, 0, 0);
    let modules = setting("WASMOTE_MODULES", 3000) / 3;
    'modules: for seed in 1..=modules {
        let config = Config {
            min_imports: if seed % 3 == 0 { 1 } else { 0 },
            max_imports: if seed % 3 == 0 { 6 } else { 0 },
            canonicalize_nans: false,
            custom_page_sizes_enabled: true,
            ..config(true)
        };
        let Some(bytes) = random_module(config, seed ^ 0x51ce) else {
            continue;
        };
        let (table, summary) =
            load(&bytes).unwrap_or_else(|error| panic!("seed {seed} is refused: {error}"));
        let mut noise = random(seed, 4096).into_iter().cycle();
        let mut told = Vec::new();
        let mut uneven = || u64::from(noise.next().unwrap_or(1)) + 1;
        let slices: [&mut dyn FnMut() -> u64; 4] =
            [&mut || MOST + 1, &mut || 1, &mut || 64, &mut uneven];
        for slice in slices {
            let mut plan = Plan {
                slice,
                most: MOST,
                region: 64 << 20,
                taken: 0,
            };
            told.push(exercise(&bytes, &table, &summary, &mut plan));
            if told[0]
                .as_ref()
                .is_none_or(|whole| whole.contains("given up"))
            {
                continue 'modules;
            }
        }
        let Some(whole) = &told[0] else { continue };
        for (one, slices) in told.iter().zip(["whole", "1", "64", "uneven"]) {
            assert_eq!(one.as_ref(), Some(whole), "seed {seed}, slices {slices}");
        }
        compared += 1;
        traps += u32::from(whole.contains("Trap {"));
        hosts += u32::from(whole.contains("Import("));
    }
    println!("{compared} modules, {traps} with traps, {hosts} with host calls");
    assert!(compared > modules / 2 && u64::from(traps) > modules / 20);
    assert!(u64::from(hosts) > modules / 200);
}
