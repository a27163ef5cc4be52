// Dates of the wall clock, by the rules of the Gregorian calendar, in UTC. Times are milliseconds since 1970-01-01, as `unix()` gives.

const day: i64 = 86_400_000;

/** Days since 1970-01-01. */
export function daysOf(time: i64): i32 {
  const days = time / day;
  return <i32>(time < days * day ? days - 1 : days);
}

/** Milliseconds since midnight. */
// @ts-ignore: decorator
@inline function within(time: i64): i32 {
  return <i32>(time - <i64>daysOf(time) * day);
}

/** Hour of the day, 0 to 23. */
export function hourOf(time: i64): i32 {
  return within(time) / 3_600_000;
}

/** Minute of the hour, 0 to 59. */
export function minuteOf(time: i64): i32 {
  return (within(time) / 60_000) % 60;
}

/** Second of the minute, 0 to 59. */
export function secondOf(time: i64): i32 {
  return (within(time) / 1_000) % 60;
}

/** Day of the week, 0 for Sunday to 6. */
export function weekdayOf(time: i64): i32 {
  // 1970-01-01 was a Thursday.
  const weekday = (daysOf(time) + 4) % 7;
  return weekday < 0 ? weekday + 7 : weekday;
}

/** Year, month and day as one number: 20261128. */
export function dateOf(time: i64): i32 {
  // Years that begin in March have their leap day at the end; 400 of them have 146,097 days.
  const days = daysOf(time) + 719_468;
  const era = (days >= 0 ? days : days - 146_096) / 146_097;
  const rest = days - era * 146_097;
  const year = (rest - rest / 1_460 + rest / 36_524 - rest / 146_096) / 365;
  const inYear = rest - (365 * year + year / 4 - year / 100);
  const month = (5 * inYear + 2) / 153;
  const date = inYear - (153 * month + 2) / 5 + 1;
  const number = month < 10 ? month + 3 : month - 9;
  return (year + era * 400 + i32(number <= 2)) * 10_000 + number * 100 + date;
}

/** Year, such as 2026. */
// @ts-ignore: decorator
@inline export function yearOf(time: i64): i32 {
  return dateOf(time) / 10_000;
}

/** Month, 1 to 12. */
// @ts-ignore: decorator
@inline export function monthOf(time: i64): i32 {
  return (dateOf(time) / 100) % 100;
}

/** Day of the month, 1 to 31. */
// @ts-ignore: decorator
@inline export function dayOf(time: i64): i32 {
  return dateOf(time) % 100;
}
