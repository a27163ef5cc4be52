// The 16-bit cyclic redundancy check of CoreMark, bit by bit, over a buffer.
const LENGTH = 512;
const BUFFER = memory.data(LENGTH);
let sum: i32 = 0;

export function setup(): void {
  let random: i32 = 1;
  for (let at = 0; at < LENGTH; at++) {
    random = random * 1103515245 + 12345;
    store<u8>(BUFFER + at, random >> 16);
  }
}

function update(crc: i32, byte: i32): i32 {
  for (let bit = 0; bit < 8; bit++) {
    const carry = (byte ^ crc) & 1;
    byte >>= 1;
    if (carry) crc ^= 0x4002;
    crc >>= 1;
    crc = carry ? crc | 0x8000 : crc & 0x7fff;
  }
  return crc;
}

export function run(): void {
  let crc = 0;
  for (let at = 0; at < LENGTH; at++) crc = update(crc, load<u8>(BUFFER + at));
  sum = crc;
}

export function checksum(): i32 {
  return sum;
}
