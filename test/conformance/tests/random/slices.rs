//! However fuel is cut into slices, a run comes to the same: the same host calls, results, traps and places, the same memory, and
//! the same fuel in all. Random modules with imports, floats and references; and nothing around their regions changes.

use wasmote_fuzz::{
    GIVEN_UP, Plan, exercise, imports, load, random, random_module, setting, with_stack,
};

/// Fuel after which no further call is made.
const MOST: u64 = 200_000;

#[test]
fn any_slices_of_fuel_come_to_the_same() {
    with_stack(compare);
}

fn compare() {
    let (mut compared, mut traps, mut hosts) = (0, 0, 0);
    let modules = setting("WASMOTE_MODULES", 3000) / 3;
    'modules: for seed in 1..=modules {
        let Some(bytes) = random_module(imports(seed), seed ^ 0x51ce) else {
            continue;
        };
        let (table, summary) =
            load(&bytes).unwrap_or_else(|error| panic!("seed {seed} is refused: {error}"));
        let values = random(seed, 4096);
        let mut noise = values.iter().cycle();
        let mut told = Vec::new();
        let mut uneven = || u64::from(*noise.next().unwrap_or(&1)) + 1;
        let slices: [&mut dyn FnMut() -> u64; 4] =
            [&mut || MOST * 2, &mut || 1, &mut || 64, &mut uneven];
        for slice in slices {
            let mut plan = Plan {
                slice,
                most: MOST,
                // Where a run is given up depends on the slices: first where it is whole, and then nothing is compared.
                patience: MOST * if told.is_empty() { 2 } else { 8 },
                values: &values,
                pages: 8,
                pattern: 0xa5a5_5a5a_c3c3_3c3c ^ told.len() as u64,
                region: 64 << 20,
                taken: 0,
            };
            told.push(exercise(&bytes, &table, &summary, &mut plan));
            if told[0]
                .as_ref()
                .is_none_or(|whole| whole.contains(GIVEN_UP))
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
