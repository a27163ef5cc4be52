// The library `wasmote/gateway`: the gateway as a part of another program.
export { Gateway, type GatewayOptions } from "./gateway.ts";
export { parseConfig, readConfig, type Config } from "./config.ts";
export type { Envelope, Filter } from "./envelope.ts";
export type { History, Point, Query, Row } from "./history.ts";
export type { Alarm } from "./alarms.ts";
