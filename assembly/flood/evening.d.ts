// What `wasmote model examples/flood/evening.onnx` makes and a station imports; for editors only.
export declare function set(input: i32, value: f32): void;
export declare function run(): void;
export declare function get(output: i32): f32;
