// The days of a river station: the last five, which a flood alarm is made of and which survive resets, and the last 64 with what was
// decided, for a gateway that was away. A day ends with the total of the rain gauge, or for a station without one with the first level
// of the next day.
//
// At /app/x/days a gateway reads them (FETCH with the first day as text: records of 20 bytes, at most 9, oldest first) and gives a station
// that lost its own those that it has (PUT: records of 12 bytes). Records are little-endian: the day since 1970 as i32; the level in
// millimetres and the rain in millimetres as f32, NaN where there is none; and of what is read the danger and the alarm (1 or 0), NaN
// where nothing was decided.
import { Code, daysOf, Method, Request, state, unix } from "wasmote";
import { reply } from "wasmote/assembly/contract";

/** How many days before tomorrow an alarm is made of. */
export const depth: i32 = 5;
/** Records that are kept, and that go into an answer. */
const kept: i32 = 64;
const most: i32 = 9;
const size: i32 = 20;
/** RFC 7252 has no conflict; RFC 8132 §2.3.1 has. */
const conflict: i32 = 0x89;

class Levels {
  day: i32 = 0;
  known: i32 = 0;
  l0: f32 = 0;
  l1: f32 = 0;
  l2: f32 = 0;
  l3: f32 = 0;
  l4: f32 = 0;
  /** Of the day that is not over. */
  sum: f32 = 0;
  count: i32 = 0;
  today: i32 = 0;
}
class Rains {
  day: i32 = 0;
  r0: f32 = 0;
  r1: f32 = 0;
  r2: f32 = 0;
  r3: f32 = 0;
  r4: f32 = 0;
}
const levels = state("levels", new Levels());
const rains = state("rains", new Rains());

// Where the five values lie in those records, the newest first.
// @ts-ignore: decorator
@inline function levelPlace(back: i32): usize {
  return changetype<usize>(levels) + offsetof<Levels>("l0") + (<usize>back << 2);
}
// @ts-ignore: decorator
@inline function rainPlace(back: i32): usize {
  return changetype<usize>(rains) + offsetof<Rains>("r0") + (<usize>back << 2);
}

const ring = memory.data(1280, 4);
const answer = memory.data(180, 4);
/** Records that were ever written; the last 64 of them are there. */
let written: i32 = 0;
let held: i32 = 0;

// @ts-ignore: decorator
@inline function at(index: i32): usize {
  return ring + <usize>((index % kept) * size);
}

/** The day it is by the node's clock; without one the day after the last. */
export function today(): i32 {
  const time = unix();
  return time === 0 ? levels.value.day + 1 : daysOf(time);
}

/** A level; whether it is the first of another day than those before it. */
export function measured(millimetres: f32): bool {
  const now = today();
  const next = levels.value.count > 0 && levels.value.today !== now;
  if (next) return true;
  levels.value.today = now;
  levels.value.sum += millimetres;
  levels.value.count++;
  return false;
}

/** The mean level of the day that is not over, which begins anew; the newest day's where there was none. */
export function takeLevel(): f32 {
  const count = levels.value.count;
  const mean = count > 0 ? levels.value.sum / <f32>count : level(0);
  levels.value.sum = 0;
  levels.value.count = 0;
  return mean;
}

/** The day of the levels that were measured last. */
export function measuredDay(): i32 {
  return levels.value.today;
}

/** So many days are known without a gap, up to the newest; at most five. */
export function known(): i32 {
  return rains.value.day === levels.value.day ? levels.value.known : 0;
}

/** Level and rain so many days before the newest. */
export function level(back: i32): f32 {
  return load<f32>(levelPlace(back));
}
export function rain(back: i32): f32 {
  return load<f32>(rainPlace(back));
}

/** A day is over: it is the newest from now on. False for one that is known, or older. */
export function next(day: i32, level: f32, rain: f32): bool {
  const last = levels.value.day;
  const had = known();
  // A clock that was far ahead and is right again begins anew.
  if (had > 0 && day <= last && last - day < kept) return false;
  levels.value.known = had > 0 && day === last + 1 ? min<i32>(had + 1, depth) : 1;
  for (let back = depth - 1; back > 0; back--) {
    store<f32>(levelPlace(back), load<f32>(levelPlace(back - 1)));
    store<f32>(rainPlace(back), load<f32>(rainPlace(back - 1)));
  }
  store<f32>(levelPlace(0), level);
  store<f32>(rainPlace(0), rain);
  levels.value.day = day;
  rains.value.day = day;
  return true;
}

/** At the start: days that survived a reset are told to whoever asks, though what was decided of them is not known any more. */
export function restored(): void {
  for (let back = known() - 1; back >= 0; back--) record(back, NaN, NaN);
}

/** Keeps what was decided of the newest day. */
export function keep(danger: f32, alarm: f32): void {
  record(0, danger, alarm);
}

function record(back: i32, danger: f32, alarm: f32): void {
  const day = levels.value.day - back;
  // What was given anew takes the place of what was known.
  while (held > 0 && load<i32>(at(written - 1)) >= day) {
    written--;
    held--;
  }
  const place = at(written);
  store<i32>(place, day);
  store<f32>(place, level(back), 4);
  store<f32>(place, rain(back), 8);
  store<f32>(place, danger, 12);
  store<f32>(place, alarm, 16);
  written++;
  if (held < kept) held++;
}

/**
 * Answers FETCH and GET of `days`, and whatever is not a request for days; true for PUT of days that are now to be taken.
 * @param gauged Whether a day has rain here: what is given has to have it.
 */
export function asked(request: Request, gauged: bool): bool {
  if (!request.at("days")) {
    request.reply(Code.NOT_FOUND);
    return false;
  }
  const method = request.method;
  if (method === Method.FETCH || method === Method.GET) {
    answerFrom(method === Method.FETCH ? request.number() : i32.MIN_VALUE);
    return false;
  }
  if (method !== Method.PUT) {
    request.reply(Code.METHOD_NOT_ALLOWED);
    return false;
  }
  const count = request.length / 12;
  if (count === 0 || count * 12 !== request.length) {
    request.reply(Code.BAD_REQUEST);
    return false;
  }
  for (let index = 0; index < count; index++) {
    const rises = index === 0 || givenDay(request, index) > givenDay(request, index - 1);
    if (!rises || !isFinite(givenLevel(request, index)) || (gauged && !isFinite(givenRain(request, index)))) {
      request.reply(Code.BAD_REQUEST);
      return false;
    }
  }
  if (known() > 0 && givenDay(request, count - 1) < levels.value.day) {
    request.reply(conflict);
    return false;
  }
  levels.value.known = 0;
  return true;
}

export function givenDay(request: Request, index: i32): i32 {
  return word(request, index * 12);
}
export function givenLevel(request: Request, index: i32): f32 {
  return reinterpret<f32>(word(request, index * 12 + 4));
}
export function givenRain(request: Request, index: i32): f32 {
  return reinterpret<f32>(word(request, index * 12 + 8));
}

function word(request: Request, place: i32): i32 {
  let result = 0;
  for (let byte = 3; byte >= 0; byte--) result = (result << 8) | <i32>request.byte(place + byte);
  return result;
}

function answerFrom(first: i32): void {
  let count = 0;
  for (let index = written - held; index < written && count < most; index++) {
    if (load<i32>(at(index)) < first) continue;
    memory.copy(answer + <usize>(count * size), at(index), size);
    count++;
  }
  reply(Code.CONTENT, <i32>answer, count * size);
}
