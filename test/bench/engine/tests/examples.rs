//! The filters of assembly/examples in Rust do what they are for: only then is their size worth comparing.
use wasmote_bench_engine::examples::{
    Filter, Node, dead_band, flood_alarm, moving_average, request_handler, threshold_alarm,
    vibration,
};

/// Writes down what a filter does; parameters are given.
#[derive(Default)]
struct Notes {
    parameters: Vec<f32>,
    done: Vec<String>,
}

impl Node for Notes {
    fn publish(&mut self, output: i32, value: f32) {
        self.done.push(format!("{output}={value}"));
    }
    fn parameter(&mut self, parameter: i32) -> f32 {
        self.parameters[parameter as usize]
    }
    fn gpio(&mut self, pin: i32, high: i32) {
        self.done.push(format!("pin {pin} {high}"));
    }
    fn log(&mut self, line: &[u8]) {
        self.done.push(String::from_utf8_lossy(line).into());
    }
    fn reply(&mut self, code: i32, payload: &[u8]) {
        let text = String::from_utf8_lossy(payload);
        self.done.push(format!("{code:#x} {text}"));
    }
}

/// What a filter did with these samples.
fn sampled(mut filter: impl Filter, parameters: &[f32], samples: &[f32]) -> Vec<String> {
    let mut notes = Notes {
        parameters: parameters.into(),
        ..Notes::default()
    };
    for sample in samples {
        filter.sample(&mut notes, 0, *sample);
    }
    notes.done
}

#[test]
fn filters_publish_what_their_definitions_say() {
    assert_eq!(
        sampled(dead_band::Program::NEW, &[0.5], &[20.0, 20.4, 20.6, 20.2]),
        ["0=20", "0=20.6"]
    );
    assert_eq!(
        sampled(
            flood_alarm::Program::NEW,
            &[200.0],
            &[1000.0, 5000.0, 4400.0, 4000.0]
        ),
        [
            "0=20",
            "0=223.6068",
            "1=1",
            "pin 0 1",
            "flood",
            "0=184.59035",
            "0=160",
            "1=0",
            "pin 0 0",
            "flood over"
        ]
    );
    let eight: Vec<f32> = (1..=9).map(|sample| sample as f32).collect();
    let means = sampled(moving_average::Program::NEW, &[], &eight);
    assert_eq!(
        (means[0].as_str(), means[7].as_str(), means[8].as_str()),
        ("0=1", "0=4.5", "0=5.5")
    );
    assert_eq!(
        sampled(
            threshold_alarm::Program::NEW,
            &[30.0, 28.0],
            &[29.0, 30.0, 29.0, 28.0]
        ),
        ["pin 0 1", "0=1", "pin 0 0", "0=0"]
    );
    assert_eq!(
        sampled(vibration::Program::NEW, &[], &[1.0; 64]),
        ["0=1", "1=0"]
    );
}

#[test]
fn requests_are_answered_as_the_definition_says() {
    let mut filter = request_handler::Program::NEW;
    let mut notes = Notes::default();
    filter.sample(&mut notes, 0, 1.0);
    for (method, path, payload) in [
        (1, "count", ""),
        (3, "count", "-42x"),
        (1, "count", ""),
        (4, "count", ""),
        (1, "other", ""),
    ] {
        filter.request(&mut notes, method, path.as_bytes(), payload.as_bytes());
    }
    assert_eq!(
        notes.done,
        [
            "0x45 1",
            "0x44 ",
            "0x45 -42",
            "0x85 ",
            "0x84 only count is here"
        ]
    );
}
