// The board in Renode: the words it is started with. What it is made of is in renode/.

/** Where a machine in Renode meets the outside. */
export interface Seats {
  /** The firmware, and the script that makes the machine. */
  elf: string;
  script: string;
  /** What lies in the first 64 KiB of flash before the firmware is put there: the provisioning record, and slots. */
  flash: string | undefined;
  /** The name the serial link's pseudo-terminal gets. */
  serial: string;
  /** TCP ports: of the level sensor, and of Renode's monitor. */
  level: number;
  monitor: number;
}

/** A path as the monitor takes it. */
function path(name: string): string {
  return `@${name.replaceAll(/([\\ ])/g, "\\$1")}`;
}

export function renodeWords(seats: Seats): string[] {
  const commands = [
    `$elf=${path(seats.elf)}`,
    `$serial="${seats.serial}"`,
    `$level=${seats.level}`,
    `include ${path(seats.script)}`,
    ...(seats.flash === undefined ? [] : [`sysbus LoadBinary ${path(seats.flash)} 0x08000000`]),
    "runMacro $reset",
    "start",
  ];
  return ["--disable-xwt", "--plain", "--port", String(seats.monitor), "-e", commands.join("; ")];
}

/** What the monitor is told to press the reset button: the macro `reset` of the script runs with it. */
export const renodeReset = "machine Reset\n";
