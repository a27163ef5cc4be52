// The library `wasmote/model`: neural networks in ONNX as sources and modules.
export {
  buildFilter,
  compileModel,
  costOf,
  distanceOf,
  loadModel,
  type Arithmetic,
  type Cost,
  type Distance,
  type Loaded,
  type Model,
  type ModelOptions,
  type Plan,
} from "./model.ts";
